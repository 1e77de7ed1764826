// Families of chat templates.
//
// BN_CHAT(name, members of struct bn_chat_family that are not empty)
//   A message is: open ROLE close SEPARATOR content AFTER end. `open`, `close` and `end` are control tokens; the words for
//   system, user, assistant are `roles`. Where three are listed they are those of system, user and assistant.
//   What stands between two control tokens is tokenised as one text. The header that asks for a reply is the same up to the
//   content.
//   between   text behind an end token, if something follows
//   bos       the conversation starts with BOS
//   strip     content is stripped of white space as Python does it
//   thinks    of an assistant's content only what follows the last "</think>" is kept, without newlines in front
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

// Qwen 3, hence Bonsai, with tools and reasoning of earlier replies left out, as its template does without them.
BN_CHAT(qwen3, "qwen3", .open = ALL("<|im_start|>"), .roles = {"system", "user", "assistant"}, .separator = "\n",
        .end = ALL("<|im_end|>"), .between = "\n", .thinks = true)
BN_CHAT_RULE(qwen3, BN_LIST("qwen3"), BN_LIST("<|im_start|>", "<|im_end|>", "</think>"))

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
        .after = {"\n", "\n", ""}, .end = {"", "", "<|endoftext|>"}, .between = "\n")
BN_CHAT_RULE(falcon3, BN_LIST(NULL),
             BN_LIST("<|user|>", "<|assistant|>", "message['content'] + eos_token + '", "not loop.last"))
