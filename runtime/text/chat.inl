// Families of chat templates.
//
// BN_CHAT(name, members of struct bn_chat_family that are not empty)
//   A message is: open ROLE close SEPARATOR BEFORE content AFTER end. `open`, `close` and `end` are control tokens; the words for
//   system, user, assistant are `roles`. Where three are listed they are those of system, user and assistant.
//   What stands between two control tokens is tokenised as one text. The header that asks for a reply is the same up to the
//   content.
//   between       text behind an end token, if something follows
//   system_close  a system message has no turn: it stands in the user's, in front of the content, between system_open and this
//   bos           the conversation starts with BOS
//   strip         content is stripped of white space as Python does it; strip_joined: with a system message in front, together
//   thinks        of an assistant's content only what follows the last "</think>" is kept, without newlines in front
//   thinks_last   but of the reply to the last question the reasoning is kept, if only as an empty pair
//   alternates    user and assistant take turns
//   headless      nothing asks for a reply
//   bare_header   `between` is not in front of the header that does
//
// BN_CHAT_RULE(name, architectures, parts)
//   A file is of the family if it has its control tokens, its architecture is listed (an empty list: any), and all
//   parts are in its tokenizer.chat_template. The first rule that fits counts.

// Llama 3 Instruct.
BN_CHAT(llama3, "llama3", .open = ALL("<|start_header_id|>"), .roles = {"system", "user", "assistant"},
        .close = "<|end_header_id|>", .separator = "\n\n", .end = ALL("<|eot_id|>"), .bos = true, .strip = true)
BN_CHAT_RULE(llama3, BN_LIST(NULL), BN_LIST("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"))

// BitNet b1.58 2B-4T. The second rule is for its published GGUF files, whose template belongs to another model and is
// ignored.
BN_CHAT(bitnet_2b4t, "bitnet-2b4t", .open = ALL(""), .roles = {"System", "User", "Assistant"}, .separator = ": ",
        .end = ALL("<|eot_id|>"), .bos = true, .strip = true)
BN_CHAT_RULE(bitnet_2b4t, BN_LIST(NULL), BN_LIST("capitalize", "Assistant: ", "<|eot_id|>"))
BN_CHAT_RULE(bitnet_2b4t, BN_LIST("bitnet-b1.58", "bitnet-25"), BN_LIST("BITNETAssistant: "))

// Qwen 3, hence Bonsai, without tools. The second is for templates that keep no reasoning at all.
BN_CHAT(qwen3, "qwen3", .open = ALL("<|im_start|>"), .roles = {"system", "user", "assistant"}, .separator = "\n",
        .end = ALL("<|im_end|>"), .between = "\n", .thinks = true, .thinks_last = true)
BN_CHAT_RULE(qwen3, BN_LIST("qwen3"), BN_LIST("<|im_start|>", "<|im_end|>", "</think>", "last_query_index"))
BN_CHAT(qwen3_plain, "qwen3", .open = ALL("<|im_start|>"), .roles = {"system", "user", "assistant"}, .separator = "\n",
        .end = ALL("<|im_end|>"), .between = "\n", .thinks = true)
BN_CHAT_RULE(qwen3_plain, BN_LIST("qwen3"), BN_LIST("<|im_start|>", "<|im_end|>", "</think>"))

// ChatML in its plain form, without a system message of its own.
BN_CHAT(chatml, "chatml", .open = ALL("<|im_start|>"), .roles = {"system", "user", "assistant"}, .separator = "\n",
        .end = ALL("<|im_end|>"), .between = "\n")
BN_CHAT_RULE(chatml, BN_LIST(NULL),
             BN_LIST("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
                     "'<|im_end|>' + '\n'}}{% endfor %}"))
BN_CHAT_RULE(chatml, BN_LIST(NULL),
             BN_LIST("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
                     "'<|im_end|>' + '\\n'}}{% endfor %}"))

// Falcon 3, Falcon-E.
BN_CHAT(falcon3, "falcon3", .open = {"<|system|>", "<|user|>", "<|assistant|>"}, .roles = ALL(""), .separator = "\n",
        .after = {"\n", "\n", ""}, .end = {"", "", "<|endoftext|>"}, .between = "\n", .bare_header = true)
BN_CHAT_RULE(falcon3, BN_LIST(NULL),
             BN_LIST("<|user|>", "<|assistant|>", "message['content'] + eos_token + '", "not loop.last"))

// Gemma 2 and 3. What stands between the system message and the user's differs.
#define GEMMA                                                                                                          \
    .open = ALL("<start_of_turn>"), .roles = {"", "user", "model"}, .separator = "\n", .end = ALL("<end_of_turn>"),    \
    .between = "\n", .bos = true, .strip = true, .alternates = true
BN_CHAT(gemma_lines, "gemma", GEMMA, .system_close = "\n\n")
BN_CHAT_RULE(gemma_lines, BN_LIST(NULL), BN_LIST("<start_of_turn>", "first_user_prefix", "['content'] + '\n\n'"))
BN_CHAT_RULE(gemma_lines, BN_LIST(NULL), BN_LIST("<start_of_turn>", "first_user_prefix", "['content'] + '\\n\\n'"))
BN_CHAT(gemma_line, "gemma", GEMMA, .system_close = "\n")
BN_CHAT_RULE(gemma_line, BN_LIST(NULL), BN_LIST("<start_of_turn>", "first_user_prefix", "['content'] + '\n'"))
BN_CHAT_RULE(gemma_line, BN_LIST(NULL), BN_LIST("<start_of_turn>", "first_user_prefix", "['content'] + '\\n'"))
#undef GEMMA

// Llama 2 Chat.
BN_CHAT(llama2, "llama2", .open = {"", "<s>", ""}, .roles = ALL(""), .separator = "", .before = {"", "[INST] ", " "},
        .after = {"", " [/INST]", " "}, .end = {"", "", "</s>"}, .system_open = "<<SYS>>\n",
        .system_close = "\n<</SYS>>\n\n", .strip = true, .strip_joined = true, .alternates = true, .headless = true)
BN_CHAT_RULE(llama2, BN_LIST(NULL), BN_LIST("bos_token + '[INST] '", "<<SYS>>", "eos_token", ".strip()"))
