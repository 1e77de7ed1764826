"""Golden renderings of chat templates by Jinja, with the settings of Hugging Face transformers.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install jinja2
    /tmp/venv/bin/python tests/gen/chat_golden.py

writes tests/data/tokenizer/chats.txt. Fields are separated by tabs and in hexadecimal, except for the first two: family,
architecture, template, rendering with the header of a reply, then role and content of each message. The templates are written
for this script; they do what those of the models do when there are no tools.
"""
import pathlib

from jinja2.sandbox import ImmutableSandboxedEnvironment

DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "tokenizer"
LLAMA3 = ("{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim"
          " + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
          "{% endif %}")
BITNET = ("{{ bos_token }}{% for m in messages %}{{ m['role'] | capitalize + ': ' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
          "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}")
CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
          "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
QWEN3 = ("{% for m in messages %}{% if m.role == 'assistant' %}{% set text = m.content.split('</think>')[-1].lstrip('\n') if "
         "'</think>' in m.content else m.content %}{% else %}{% set text = m.content %}{% endif %}{{ '<|im_start|>' + m.role + '\n' + "
         "text + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
FALCON3 = ("{% for message in messages %}{% if message['role'] == 'assistant' %}{% if not loop.last %}{{ '<|assistant|>\n' + "
           "message['content'] + eos_token + '\n' }}{% else %}{{ '<|assistant|>\n' + message['content'] + eos_token }}{% endif %}"
           "{% else %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '\n' }}{% endif %}{% if loop.last and "
           "add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}{# <|user|> #}")
THINK = ("{% set ns = namespace(last_query_index=messages|length - 1) %}{% for m in messages %}{% if m.role == 'user' %}"
         "{% set ns.last_query_index = loop.index0 %}{% endif %}{% endfor %}{% for m in messages %}{% set text = m.content %}"
         "{% set why = '' %}{% if m.role == 'assistant' and '</think>' in text %}"
         "{% set why = text.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}"
         "{% set text = text.split('</think>')[-1].lstrip('\n') %}{% endif %}"
         "{% if m.role == 'assistant' and loop.index0 > ns.last_query_index and (loop.last or why) %}"
         "{{ '<|im_start|>assistant\n<think>\n' + why.strip('\n') + '\n</think>\n\n' + text.lstrip('\n') }}"
         "{% else %}{{ '<|im_start|>' + m.role + '\n' + text }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
GEMMA = ("{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first_user_prefix = messages[0]['content'] + '\n\n' %}"
         "{% set rest = messages[1:] %}{% else %}{% set first_user_prefix = '' %}{% set rest = messages %}{% endif %}"
         "{% for m in rest %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + (first_user_prefix "
         "if loop.first else '') + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}")
LLAMA2 = ("{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}"
          "{% else %}{% set rest = messages %}{% set system = false %}{% endif %}{% for m in rest %}"
          "{% if loop.index0 == 0 and system != false %}"
          "{% set content = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + m['content'] %}{% else %}{% set content = m['content'] %}"
          "{% endif %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
          "{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")
TEMPLATES = [("llama3", "llama", LLAMA3), ("bitnet-2b4t", "bitnet-b1.58", BITNET), ("chatml", "llama", CHATML),
             ("qwen3", "qwen3", QWEN3), ("falcon3", "llama", FALCON3),
             ("qwen3", "qwen3", THINK), ("gemma", "gemma3", GEMMA), ("gemma", "gemma3", GEMMA.replace("'\n\n'", "'\n'")),
             ("llama2", "llama", LLAMA2)]
EOS = {"llama2": "</s>"}
CHATS = [
    [("user", "hi")],
    [("system", "You are terse."), ("user", " What is 2-bit?\n"), ("assistant", "Two bits."), ("user", "\u00a0And 3?\u3000")],
    [("user", ""), ("assistant", " \t\n"), ("user", "again")],
    [("user", "a\n"), ("assistant", "<think>\nlong\n</think>\n\nshort </thin"), ("user", "b"), ("assistant", "c</think>"), ("user", "d")],
    [("system", " Be brief.\n"), ("user", "\n hi ")],
    [("user", "a"), ("assistant", " b\n")],
    [("system", "s"), ("user", "a"), ("assistant", "<think>\n\nwhy\n</think>\n\n\nb")],
]


def main():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    lines = []
    for family, architecture, template in TEMPLATES:
        for chat in CHATS:
            messages = [{"role": role, "content": content} for role, content in chat]
            text = environment.from_string(template).render(messages=messages, add_generation_prompt=True, bos_token="<s>",
                                                            eos_token=EOS.get(family, "<|endoftext|>"))
            fields = [family, architecture] + [field.encode().hex() for field in [template, text]]
            fields += [field for role, content in chat for field in (role.encode().hex(), content.encode().hex())]
            lines.append("\t".join(fields) + "\n")
    (DATA / "chats.txt").write_text("".join(lines))


main()
