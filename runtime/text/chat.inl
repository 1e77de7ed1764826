// Families of chat templates.
//
// BN_CHAT(name, open, roles, close, separator, end)
//   A message is: open ROLE close SEPARATOR content end. `open`, `close` and `end` are control tokens, "" if there is
//   none; roles are the words for system, user, assistant. Content is stripped of white space as Python does it.
//   What stands between two control tokens is tokenised as one text. The header that asks for a reply is the same up
//   to the content.
//
// BN_CHAT_RULE(name, architectures, parts)
//   A file is of the family if it has its control tokens, its architecture is listed (an empty list: any), and all
//   parts are in its tokenizer.chat_template. The first rule that fits counts.

// Llama 3 Instruct.
BN_CHAT(llama3, "llama3", "<|start_header_id|>", BN_LIST("system", "user", "assistant"), "<|end_header_id|>", "\n\n",
        "<|eot_id|>")
BN_CHAT_RULE(llama3, BN_LIST(NULL), BN_LIST("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"))

// BitNet b1.58 2B-4T. The second rule is for its published GGUF files, whose template belongs to another model and is
// ignored.
BN_CHAT(bitnet_2b4t, "bitnet-2b4t", "", BN_LIST("System", "User", "Assistant"), "", ": ", "<|eot_id|>")
BN_CHAT_RULE(bitnet_2b4t, BN_LIST(NULL), BN_LIST("capitalize", "Assistant: ", "<|eot_id|>"))
BN_CHAT_RULE(bitnet_2b4t, BN_LIST("bitnet-b1.58", "bitnet-25"), BN_LIST("BITNETAssistant: "))
