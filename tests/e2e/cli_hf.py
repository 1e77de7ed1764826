"""Folders of Hugging Face: they give the logits of the GGUF file with the same numbers, and what cannot be run is refused."""
import glob
import resource
import shutil
import signal

from cli import *  # noqa: F403
from hf_folder import Folder

CONVERT, SAME = sys.argv.pop(1), sys.argv.pop(1)
good = Folder(MODEL) if HAVE_JSON else None


def same(*models):
    result = call(SAME, *models)
    assert result.code == 0, result.text


def refused(folder, *said, code=3, name="bad"):
    path = path_of(name)
    shutil.rmtree(path, ignore_errors=True)
    result = call(RUN, "-m", folder.save(path), "-p", "x", "-n", "1")
    assert result.code == code and result.out == b"", (said, result.code, result.err)
    for text in said:
        assert text in result.err, (text, result.err)


@needs_json
class Written(unittest.TestCase):
    """Folders that bitnet-convert writes: in shards, with checksums, stopped and gone on with."""
    def made(self, name, *args, **options):
        return call(CONVERT, "-q", "--folder", "packed", *args, MODEL, path_of(name), **options)

    def files(self, name):
        found = {}
        for file in os.listdir(path_of(name)):
            with open(os.path.join(path_of(name), file), "rb") as opened:
                found[file] = opened.read()
        return found

    def test_shards(self):
        self.assertEqual(self.made("whole").code, 0)
        self.assertEqual(self.made("sharded", "--shard-size", "1", "--threads", "3").code, 0)
        files = self.files("sharded")
        weights = [name for name in files if name.endswith(".safetensors")]
        self.assertGreater(len(weights), 1)
        self.assertEqual(sorted(weights), ["model-%05d-of-%05d.safetensors" % (i + 1, len(weights)) for i in range(len(weights))])
        self.assertTrue(all(len(files[name]) < 1.1e6 for name in weights))
        index = json.loads(files["model.safetensors.index.json"])
        self.assertEqual(set(index["weight_map"].values()), set(weights))
        same(MODEL, path_of("whole"), path_of("sharded"))
        for name in ("whole", "sharded"):
            result = call(CONVERT, "--verify", path_of(name))
            self.assertEqual(result.code, 0, result.err)
            self.assertIn(f"{len(index['weight_map'])} tensors", result.err)

    def test_damaged(self):
        self.assertEqual(self.made("damaged", "--shard-size", "1").code, 0)
        path = sorted(glob.glob(path_of("damaged/*.safetensors")))[1]
        with open(path, "r+b") as file:
            file.seek(-1000, os.SEEK_END)
            byte = file.read(1)
            file.seek(-1000, os.SEEK_END)
            file.write(bytes([byte[0] ^ 1]))
        result = call(CONVERT, "--verify", path_of("damaged"))
        self.assertEqual(result.code, 1, result.err)
        self.assertIn("checksum", result.err)
        os.remove(path)
        self.assertEqual(call(CONVERT, "--verify", path_of("damaged")).code, 2)
        self.assertEqual(call(CONVERT, "--verify", good.save(path_of("others"))).code, 1)  # which has none

    def test_killed_and_resumed(self):
        """At any byte, of one file and of shards: what it ends in is what an undisturbed conversion writes."""
        kept = []
        for args in ([], ["--shard-size", "1"]):
            shutil.rmtree(path_of("undisturbed"), ignore_errors=True)
            self.assertEqual(self.made("undisturbed", *args).code, 0)
            files = self.files("undisturbed")
            size = max(len(data) for name, data in files.items() if name.endswith(".safetensors"))
            for i, most in enumerate((0, 17, size // 2, size * 3 // 4 + 13, size - 1)):
                def limit():
                    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
                result = self.made("resumed", *args, "--resume", "--threads", "13"[i % 2], preexec_fn=limit)
                self.assertIn(result.code, (-signal.SIGXFSZ, 5))
                self.assertFalse(os.path.exists(path_of("resumed")))
                result = call(CONVERT, "--folder", "packed", *args, "--resume", MODEL, path_of("resumed"))
                self.assertEqual(result.code, 0, result.err)
                kept.append("from an earlier attempt" in result.err)
                self.assertEqual(self.files("resumed"), files)
                self.assertFalse(os.path.exists(path_of("resumed.part")))
                shutil.rmtree(path_of("resumed"))
        self.assertTrue(kept[4] and not kept[0])

    def test_what_another_attempt_left(self):
        """Shards of another size, and a whole file of another source, are not taken for this one's."""
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1200000, 1200000))
        self.assertNotEqual(self.made("left", "--threads", "1", preexec_fn=limit).code, 0)
        self.assertTrue(os.path.exists(path_of("left.part")))
        self.assertEqual(self.made("left", "--shard-size", "1", "--resume").code, 0)
        self.assertFalse([name for name in os.listdir(path_of("left")) if "part" in name or name == "model.safetensors"])
        self.assertEqual(call(CONVERT, "--verify", path_of("left")).code, 0)

    def test_usage(self):
        for args, said in ((["--shard-size", "5", MODEL, path_of("x.gguf")], "--folder"),
                           (["--folder", "packed", "-t", "i2_s", MODEL, path_of("x")], "types of weights")):
            result = call(CONVERT, *args)
            self.assertEqual(result.code, 2)
            self.assertIn(said, result.err)


@needs_json
class Runs(unittest.TestCase):
    def test_packed(self):
        """Both meanings of weight_scale, sharded or not, the GGUF file, and what is made of them: the same logits."""
        models = [MODEL, good.save(path_of("packed")), good.save(path_of("shards"), shards=3)]
        made = path_of("packed.gguf")
        self.assertEqual(call(CONVERT, "--verify", models[2], made).code, 0)
        same(*models, made)
        same_text = [call(CONVERT, "--diff", MODEL, model) for model in (*models[1:], made)]
        self.assertEqual([(r.code, r.text) for r in same_text], 3 * [(0, "the same\n")])

    def test_inverse(self):
        """A scale that divides; the powers of two among the scales are kept exactly, and others within a rounding."""
        folder = Folder(MODEL, inverse=True)
        for name, (dtype, shape, data) in folder.tensors.items():
            if name.endswith("_scale"):
                folder.tensors[name] = dtype, shape, struct.pack("<f", 32)
        other = good.copy()
        for name, (dtype, shape, data) in other.tensors.items():
            if name.endswith("_scale"):
                other.tensors[name] = dtype, shape, struct.pack("<f", 1 / 32)
        same(folder.save(path_of("inverse")), other.save(path_of("direct")))

    def test_ternary_floats(self):
        """Weights that are ternary as they are, in BF16, whether or not the configuration says that they would have to become so."""
        folder = Folder(MODEL, master=True)
        same(MODEL, folder.save(path_of("floats")))
        del folder.config["quantization_config"]
        same(MODEL, folder.save(path_of("floats")))

    def test_tokenizer(self):
        text = b"Once upon a time <|eot_id|> 12345 \xc3\xa9\n\n x"
        path = good.save(path_of("packed"))
        self.assertEqual(call(TOKENIZE, "-m", path, stdin=text).out, tokenize(stdin=text).out)
        folder = good.copy()  # merges as older versions write them, and no weights
        folder.tokenizer["model"]["merges"] = [" ".join(merge) for merge in folder.tokenizer["model"]["merges"]]
        path = folder.save(path_of("words"))
        os.remove(os.path.join(path, "model.safetensors"))
        self.assertEqual(call(TOKENIZE, "-m", path, stdin=text).out, tokenize(stdin=text).out)

    def test_families(self):
        """transformers' own folders, converted: the same numbers, and the same logits where no rows move."""
        folders = os.path.join(DATA, "hf")
        names = [name for name in os.listdir(folders) if os.path.isdir(os.path.join(folders, name))]
        self.assertGreater(len(names), 4)
        for name in names:
            made = path_of(name + ".gguf")
            result = call(CONVERT, "-f", "--verify", os.path.join(folders, name), made)
            self.assertEqual(result.code, 0, result.err)
            result = call(CONVERT, "--diff", os.path.join(folders, name), made)
            self.assertEqual((result.code, result.text), (0, "the same\n"), name)
            if name.endswith("embedding"):
                texts = [call(RUN, "-m", model, "--embed", "-p", "A cat").out
                         for model in (os.path.join(folders, name), made)]
                self.assertTrue(texts[0] and texts[0] == texts[1])
            elif not name.startswith("llama"):
                same(os.path.join(folders, name), made)

    def test_not_ternary(self):
        """Floats of which one is not like the others, and nothing says that they are to become ternary."""
        path = path_of("plain")
        shutil.copytree(os.path.join(DATA, "hf", "llama-ternary"), path)
        with open(os.path.join(path, "model.safetensors"), "r+b") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            place = json.loads(file.read(length))["model.layers.1.mlp.up_proj.weight"]["data_offsets"][0]
            file.seek(8 + length + place)
            file.write(struct.pack("<HHHH", 0x3f80, 0x3f81, 0x3f82, 0x3f83))
        result = call(RUN, "-m", path, "-p", "x")
        self.assertEqual(result.code, 3)
        self.assertIn("blk.1.ffn_up.weight: the weights are not ternary", result.err)

    def test_scales_of_groups(self):
        """Ternary floats with a scale per 64 weights keep them in a type that has as many; one for all is refused."""
        path, made = path_of("groups"), path_of("groups.gguf")
        shutil.copytree(os.path.join(DATA, "hf", "qwen3-ternary"), path)
        file_path = os.path.join(path, "model.safetensors")
        with open(file_path, "rb") as file:
            data = bytearray(file.read())
        (length,) = struct.unpack_from("<Q", data)
        for name, entry in json.loads(data[8:8 + length]).items():
            if not name.endswith("proj.weight"):
                continue
            start, end = (8 + length + at for at in entry["data_offsets"])
            for i in range((end - start) // 2):
                (bits,) = struct.unpack_from("<H", data, start + 2 * i)
                if bits & 0x7fff:  # 2^-5 and a little, by group
                    struct.pack_into("<H", data, start + 2 * i, (bits & 0x8000) | (0x3d00 + 16 * (i // 64 % 5)))
        with open(file_path, "wb") as file:
            file.write(data)
        self.assertEqual(call(CONVERT, "-f", "-t", "q2_0", path, made).code, 0)
        same(path, made)
        self.assertEqual(call(CONVERT, "--diff", path, made).text, "the same\n")
        result = call(CONVERT, "-f", "-t", "iq2_bn", path, made)
        self.assertEqual(result.code, 3)
        self.assertIn("several become one", result.err)

    def test_chat_template(self):
        folder = good.copy()
        llama = "{{ '<|start_header_id|>' }}{{ '<|end_header_id|>' }}{{ '<|eot_id|>' }}"
        texts = []
        for others in ({"chat_template.jinja": llama}, {"tokenizer_config.json": {"chat_template": llama}},
                       {"tokenizer_config.json": {"chat_template": [{"name": "default", "template": llama}]}}):
            folder.others = others
            path = folder.save(path_of(f"chat{len(texts)}"))
            result = call(RUN, "-m", path, "-cnv", "-n", "4", "--greedy", stdin=b"Hello\n")
            self.assertEqual(result.code, 0, result.err)
            texts.append(result.out)
        self.assertEqual(len(set(texts)), 1)


    def test_sampling(self):
        """generation_config.json: settings of sampling are defaults if it asks for sampling, and go into the GGUF file."""
        def sampling(model, *options):
            result = call(RUN, "-m", model, "-p", "A dog", "-n", "1", "--json", *options)
            self.assertEqual(result.code, 0, result.err)
            made = json.loads(result.out)["sampling"]
            made = {name: round(value, 6) if isinstance(value, float) else value for name, value in made.items()}
            return made, "the model's sampling" in result.err

        folder, made = good.copy(), path_of("sampling.gguf")
        folder.generation.update({"top_k": 20, "repetition_penalty": 1.5})
        path = folder.save(path_of("sampling"))
        self.assertEqual(call(CONVERT, "-f", path, made).code, 0)
        for model in path, made:
            self.assertEqual(sampling(model), (
                {"greedy": False, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.05, "repeat_penalty": 1.5,
                 "repeat_last_n": 4096, "from_model": True}, True))
        found, told = sampling(path, "--temp", "0.5", "--top-k", "7")
        self.assertEqual((found["temperature"], found["top_k"], found["repeat_penalty"], told), (0.5, 7, 1.5, True))
        self.assertFalse(sampling(path, "--greedy")[1])
        folder.generation["do_sample"] = False
        found, told = sampling(folder.save(path_of("sampling")))
        self.assertEqual((found["temperature"], found["from_model"], told), (0.8, False, False))

    def test_pooling(self):
        """sentence-transformers' files say which vector is meant: the last token's, or the model is refused."""
        path = path_of("pooling")
        shutil.copytree(os.path.join(DATA, "hf", "qwen3-embedding"), path)
        os.mkdir(os.path.join(path, "1_Pooling"))
        modules = [{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
        last, mean = {"pooling_mode_lasttoken": True}, {"pooling_mode_mean_tokens": True, "pooling_mode_lasttoken": False}
        for pooling, module, said in ((last, "1_Pooling", ""), (mean, "1_Pooling", "pooling_mode_mean_tokens"),
                                      ({}, "1_Pooling", "pooling_mode_lasttoken"), (last, "../x", "1_Pooling")):
            modules[0]["path"] = module
            for name, value in (("modules.json", modules), ("1_Pooling/config.json", pooling)):
                with open(os.path.join(path, name), "w", encoding="utf-8") as file:
                    json.dump(value, file)
            result = call(RUN, "-m", path, "--embed", "-p", "A cat")
            self.assertEqual(result.code, 3 if said else 0, result.err)
            self.assertIn(said, result.err)

    def test_ends(self):
        """A list of ids: all end the text."""
        folder = good.copy()
        end = folder.generation["eos_token_id"][0]
        common = "-p", "Once upon a", "-n", "4", "--greedy", "--json"
        first = json.loads(call(RUN, "-m", folder.save(path_of("ends")), *common).out)["tokens"][0]
        for ids in ([end, 300, first, 301], [first, end]):
            folder.generation["eos_token_id"] = ids
            result = call(RUN, "-m", folder.save(path_of("ends")), *common)
            self.assertEqual(json.loads(result.out)["stop"], "eos", result.err)
        folder.generation["eos_token_id"] = [end, 1 << 20, 5]
        refused(folder, "outside the vocabulary")


    def test_folders(self):
        """Folders that are written: the numbers of their source, and the same logits where no rows of Q and K move."""
        hf, families = os.path.join(DATA, "hf"), os.path.join(DATA, "families")
        sources = [(MODEL, "packed", "floats"), (os.path.join(hf, "bitnet-master"), "packed", "floats"),
                   (os.path.join(hf, "qwen3-ternary"), "floats"), (os.path.join(hf, "gemma3-packed"), "packed", "floats"),
                   (os.path.join(hf, "gemma3-embedding"), "floats"), (os.path.join(hf, "qwen3-embedding"), "packed"),
                   (os.path.join(families, "bitnet.gguf"), "packed"), (os.path.join(families, "bitnet-25.gguf"), "floats"),
                   (os.path.join(families, "llama.gguf"), "packed", "floats"), (os.path.join(families, "trilm.gguf"), "floats"),
                   (os.path.join(families, "qwen3-q2_0.gguf"), "floats"), (os.path.join(families, "qwen3-yarn.gguf"), "floats")]
        for source, *forms in sources:
            for form in forms:
                made = path_of(f"{form}-{os.path.basename(source)}")
                result = call(CONVERT, "--folder", form, source, made)
                self.assertEqual(result.code, 0, result.err)
                said = call(CONVERT, "--diff", source, made).text
                self.assertEqual(said, "architecture: bitnet-25 and bitnet-b1.58\n" if "-25" in source else "the same\n", made)
                if not any(name in source for name in ("llama", "trilm", "embedding")):
                    same(source, made)
                text = b"Once upon a time <|eot_id|> 12 \xc3\xa9"
                tokens = [call(TOKENIZE, "-m", model, stdin=text).out for model in (source, made)]
                self.assertEqual(tokens[0], tokens[1], made)
        self.assertEqual(call(CONVERT, "--folder", "packed", MODEL, made).code, 2)  # it exists

    def test_folder_whose_scale_divides(self):
        source = Folder(MODEL)
        for name, (dtype, shape, _) in source.tensors.items():
            if name.endswith("_scale"):
                source.tensors[name] = dtype, shape, struct.pack("<f", 1 / 64)
        path, made = source.save(path_of("64th")), path_of("divides")
        self.assertEqual(call(CONVERT, "--folder", "inverse", path, made).code, 0)
        same(path, made)
        with open(os.path.join(made, "model.safetensors"), "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            place = json.loads(file.read(length))["model.layers.0.mlp.up_proj.weight_scale"]["data_offsets"][0]
            file.seek(8 + length + place)
            self.assertEqual(struct.unpack("<f", file.read(4)), (64.0,))

    def test_folders_that_cannot_be(self):
        rotated, path = os.path.join(DATA, "families", "qwen3-hadamard.gguf"), path_of("never")
        for model, form, said in ((MODEL, "inverse", "not exactly 1 over"), (rotated, "floats", "prism.hadamard"),
                                  (os.path.join(DATA, "hf", "qwen3-ternary"), "packed", "activation_planes"),
                                  (os.path.join(DATA, "hf", "llama-packed"), "packed", "rope_freqs"),
                                  (os.path.join(DATA, "families", "gemma3.gguf"), "packed", "by scores")):
            result = call(CONVERT, "--folder", form, model, path)
            self.assertEqual(result.code, 3, result.err)
            self.assertIn(said, result.err)
            self.assertFalse(os.path.exists(path) or os.path.exists(path + ".part"))
        self.assertEqual(call(CONVERT, "--folder", "packed", "-t", "tq2_0", MODEL, path).code, 2)
        self.assertEqual(call(CONVERT, "--folder", "boxes", MODEL, path).code, 2)


@needs_json
class Refusals(unittest.TestCase):
    def test_config(self):
        quant = good.config["quantization_config"]
        for change, said in (
                ({"model_type": "mamba"}, "mamba"),
                ({"architectures": []}, "architectures"),
                ({"secret_scale": 2}, "secret_scale"),
                ({"attention_bias": True}, "attention_bias"),
                ({"hidden_act": "gelu"}, "hidden_act"),
                ({"hidden_size": -1}, "hidden_size"),
                ({"hidden_size": 1e9}, "hidden_size"),
                ({"num_hidden_layers": "5"}, "num_hidden_layers"),
                ({"rope_scaling": {"type": "dynamic", "factor": 2}}, "rope_scaling"),
                ({"sliding_window": 64, "use_sliding_window": True}, "sliding_window"),
                ({"quantization_config": {**quant, "quant_method": "gptq"}}, "quant_method"),
                ({"quantization_config": {**quant, "linear_class": "other"}}, "linear_class"),
                ({"quantization_config": {**quant, "use_rms_norm": True}}, "use_rms_norm"),
                ({"quantization_config": None}, "packed matrix"),
                ({"vocab_size": 100}, "vocab_size"),
                ({"vocab_size": 1 << 23}, "vocab_size")):
            folder = good.copy()
            folder.config.update(change)
            refused(folder, said)

    def test_tokenizer(self):
        def unknown_pattern(t):
            t["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "a+"

        def prefix_space(t):
            t["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = True

        def two_ids(t):
            t["model"]["vocab"]["zebra!"] = 5

        def word_piece(t):
            t["model"]["type"] = "WordPiece"

        def bad_merge(t):
            t["model"]["merges"][0] = ["a"]

        def bad_id(t):
            t["added_tokens"][0]["id"] = -1

        for change, said in ((unknown_pattern, "a+"), (prefix_space, "add_prefix_space"), (two_ids, "id 5"),
                             (word_piece, "WordPiece"), (bad_merge, "merge 0"), (bad_id, "added_tokens"),
                             (lambda t: t.update(normalizer={"type": "Lowercase"}), "Lowercase"),
                             (lambda t: t.pop("model"), "model")):
            folder = good.copy()
            change(folder.tokenizer)
            refused(folder, said)

    def test_sentencepiece(self):
        """Steps and tokens that would do something else than what is built."""
        def read(change):
            path = path_of("pieces")
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(os.path.join(DATA, "tokenizer", "hf", "llama-first"), path)
            with open(os.path.join(path, "tokenizer.json"), encoding="utf-8") as file:
                tokenizer = json.load(file)
            change(tokenizer)
            with open(os.path.join(path, "tokenizer.json"), "w", encoding="utf-8") as file:
                json.dump(tokenizer, file)
            return call(TOKENIZE, "-m", path, stdin=b"the")

        def strip(t):
            t["added_tokens"][-1]["lstrip"] = True

        prepend = {"type": "Prepend", "prepend": "\u2581"}
        precompiled = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
        self.assertEqual(read(lambda t: None).code, 0)
        for change, said in ((strip, "lstrip"), (lambda t: t["model"].update(byte_fallback=False), "byte_fallback"),
                             (lambda t: t["model"].update(ignore_merges=True), "ignore_merges"),
                             (lambda t: t.update(normalizer=prepend), "second mark"),
                             (lambda t: t.update(pre_tokenizer=None), "U+2581"),
                             (lambda t: t.update(normalizer=precompiled), "Precompiled"),
                             (lambda t: t["pre_tokenizer"].update(replacement="_"), "Metaspace"),
                             (lambda t: t["pre_tokenizer"].update(prepend_scheme="last"), "prepend_scheme"),
                             (lambda t: (t["pre_tokenizer"].update(split=True), t["model"]["vocab"].update({"a\u2581b": 2})),
                              "space inside"),
                             (lambda t: t["model"].update(type="Unigram"), "vocab")):
            result = read(change)
            self.assertEqual(result.code, 3, result.err)
            self.assertIn(said, result.err)

    def test_tensors(self):
        q = "model.layers.0.self_attn.q_proj.weight"
        dtype, shape, data = good.tensors[q]

        def bias(t):
            t["model.layers.0.self_attn.q_proj.bias"] = "BF16", [256], bytes(512)

        for change, said in (
                (bias, "q_proj.bias"),
                (lambda t: (t.pop(q), t.pop(q + "_scale")), "blk.0.attn_q.weight"),
                (lambda t: t.pop(q), "no packed matrix"),
                (lambda t: t.pop(q + "_scale"), "weight_scale"),
                (lambda t: t.update({q + "_scale": ("F32", [2], bytes(8))}), "more than one scale"),
                (lambda t: t.update({q + "_scale": ("F32", [1], struct.pack("<f", float("nan")))}), "finite"),
                (lambda t: t.update({q: ("I8", shape, data)}), "only F32"),
                (lambda t: t.update({q: (dtype, [shape[1], shape[0]], data)}), "expected the shape"),
                (lambda t: t.update({q: (dtype, [1, *shape], data)}), "neither a vector nor a matrix"),
                (lambda t: t.update({"model.norm.weight_scale": ("F32", [1], bytes(4))}), "no packed matrix"),
                (lambda t: t.update({q: (dtype, shape, b"\xff" * len(data))}), "unused code")):
            folder = good.copy()
            change(folder.tensors)
            refused(folder, said)

    def test_shards(self):
        path = path_of("cut")
        good.save(path, shards=2)
        os.remove(os.path.join(path, "model-00002-of-00002.safetensors"))
        result = call(RUN, "-m", path, "-p", "x")
        self.assertEqual(result.code, 2, result.err)
        self.assertIn("model-00002-of-00002.safetensors", result.err)
        index = os.path.join(path, "model.safetensors.index.json")
        for files, said in (({"a": "../x"}, "../x"), ({"a": 1}, "name of a file"),
                            ({"a": "model-00001-of-00002.safetensors"}, "tensors")):
            with open(index, "w", encoding="utf-8") as file:
                json.dump({"weight_map": files}, file)
            result = call(RUN, "-m", path, "-p", "x")
            self.assertEqual((result.code, said in result.err), (3, True), result.err)

    def test_headers(self):
        """The JSON of a safetensors header that lies."""
        path = good.save(path_of("header"))
        file_path = os.path.join(path, "model.safetensors")
        with open(file_path, "rb") as file:
            data = file.read()
        (length,) = struct.unpack_from("<Q", data)
        header, body = data[8:8 + length].decode(), data[8 + length:]
        one = '"a": {"dtype": "U8", "shape": [4, 4], "data_offsets": [0, 16]}'

        def with_header(text, claimed=None):
            raw = text.encode()
            return struct.pack("<Q", len(raw) if claimed is None else claimed) + raw + body

        huge = 1 << 63
        for broken, said in (
                (b"", "header"), (b"1234567", "header"), (with_header("{}", huge), "header"),
                (with_header("{}", len(body) + 3), "header"), (with_header("[]"), "object"),
                (with_header("{"), "JSON"), (with_header('{"a": 1}'), "object"),
                (with_header("{" + one + "," + one + "}"), "JSON"),
                (with_header('{"a": {"dtype": "U8", "shape": [4, 4], "data_offsets": [0, 17]}}'), "17 bytes"),
                (with_header('{"a": {"dtype": "U8", "shape": [4, 4], "data_offsets": [16, 0]}}'), "within"),
                (with_header('{"a": {"dtype": "U8", "shape": [4, -4], "data_offsets": [0, 16]}}'), "shape"),
                (with_header('{"a": {"dtype": "U8", "shape": [4294967296, 4294967296, 2], "data_offsets": [0, 0]}}'), "shape"),
                (with_header('{"a": {"dtype": "Q9", "shape": [16], "data_offsets": [0, 16]}}'), "Q9"),
                (with_header('{"a": {"dtype": "U8", "shape": [16], "data_offsets": [0, 16]}, '
                             '"b": {"dtype": "U8", "shape": [16], "data_offsets": [8, 24]}}'), "overlaps"),
                (with_header('{"a": {"dtype": "U8", "shape": [16], "data_offsets": [0, 9223372036854775807]}}'), "within"),
                (with_header('{"a": ' + "[" * 100000), "JSON"), (data[:-1], "within")):
            with open(file_path, "wb") as file:
                file.write(broken)
            result = call(RUN, "-m", path, "-p", "x")
            self.assertEqual((result.code, said in result.err), (3, True), (said, result.err))
        self.assertIn("__metadata__", header)

    def test_folder(self):
        os.makedirs(path_of("empty"), exist_ok=True)
        result = call(RUN, "-m", path_of("empty"), "-p", "x")
        self.assertEqual(result.code, 2)
        self.assertIn("config.json", result.err)


main()
