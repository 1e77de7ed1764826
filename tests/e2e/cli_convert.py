"""bitnet-convert: what it makes runs, and what it refuses leaves nothing behind."""
import resource
import signal
import stat
import time

from cli import *  # noqa: F403
from hf_folder import Folder, Gguf, codes

CONVERT = sys.argv.pop(1)


def convert(*args, **more):
    return call(CONVERT, *args, **more)


def story(path, *args):
    result = call(RUN, "-m", path, "-p", "The old dog", "-n", "24", "--greedy", "--ignore-eos", *args)
    assert result.code == 0, result.err
    return result.out


class Synthetic(unittest.TestCase):
    def test_orders_and_families_run(self):
        texts = {}
        for family in ("bitnet-b1.58", "bitnet-25", "bitnet"):
            for order in ("auto", "A", "128/32", "B", "64/16", "C", "1x4"):
                path = path_of("order.gguf")
                result = convert("--synthetic", "tiny", "--arch", family, "--i2s-layout", order, "-f", path)
                self.assertEqual((result.code, result.out), (0, b""))
                self.assertIn("tiny", result.err)
                texts.setdefault(family, set()).add(story(path))
        for family, made in texts.items():
            self.assertEqual(len(made), 1, family)  # the same weights in each order
        self.assertEqual(len(set.union(*texts.values())), 3)  # but families differ

    def test_order_matters(self):
        path = path_of("b.gguf")
        self.assertEqual(convert("--synthetic=tiny", "--i2s-layout=B", "-f", path).code, 0)
        self.assertNotEqual(story(path), story(path, "--i2s-layout", "128/32"))
        self.assertEqual(story(path), story(path, "--i2s-layout", "64/16"))

    def test_seed(self):
        made = []
        for name, seed in (("s1", "1"), ("s1b", "1"), ("s2", "2")):
            self.assertEqual(convert("--synthetic", "tiny", "--seed", seed, path_of(name)).code, 0)
            with open(path_of(name), "rb") as file:
                made.append(file.read())
        self.assertEqual(made[0], made[1])
        self.assertNotEqual(made[0], made[2])

    def test_umask(self):
        path = path_of("mode.gguf")
        self.assertEqual(convert("--synthetic", "tiny", path, umask=0o027).code, 0)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)

    def test_quiet(self):
        result = convert("--synthetic", "tiny", "-q", path_of("quiet.gguf"))
        self.assertEqual((result.code, result.out, result.err), (0, b"", ""))


def contents(path):
    with open(path, "rb") as file:
        return file.read()


class Conversions(unittest.TestCase):
    def made(self, source, *args, name="made.gguf"):
        result = convert("-f", *args, source, path_of(name))
        self.assertEqual((result.code, result.out), (0, b""), result.err)
        return path_of(name)

    def same(self, a, b):
        result = convert("--diff", a, b)
        self.assertEqual((result.code, result.out), (0, b"the same\n"), result.err)

    def test_every_type_and_back(self):
        """Trits and scales of the default model fit every type; going back gives the same bytes."""
        first = self.made(MODEL, name="first.gguf")
        for args in (["--i2s-layout=B"], ["--i2s-layout=1x4"], ["-t", "tq1_0"], ["-t", "tq2_0"], ["-t", "q2_0"],
                     ["-t", "pq2_0"], ["-t", "ptq1_0"], ["-t", "iq1_bn"], ["-t", "iq2_bn"], ["-t", "iq2_bn_r4"]):
            other = self.made(first, *args, "--verify", name="other.gguf")
            self.assertNotEqual(contents(other), contents(first), args)
            self.same(first, other)
            self.assertEqual(story(other), story(MODEL), args)
            self.assertEqual(contents(self.made(other, "--pack", name="back.gguf")), contents(first), args)

    def test_scan_copy(self):
        """Packing puts the scan copy beside a large head, in whatever type that is written; other conversions leave it out."""
        small = path_of("small.gguf")
        self.assertEqual(convert("--synthetic", "small", "-q", "-f", small).code, 0)
        text = story(small)
        packed = self.made(small, "--pack", "--verify", name="packed.gguf")
        self.assertEqual([contents(packed).count(name) for name in (b"output.scan", b"output.scan_info")], [2, 1])
        for args in (["--mmap"], ["--no-mmap"], ["--head", "full"]):
            self.assertEqual(story(packed, *args), text)
        self.same(small, packed)
        shown = {tensor["name"]: tensor for tensor in convert("--inspect", "--json", packed).json["tensors"]} if HAVE_JSON else {}
        if shown:
            rows, cols = shown["token_embd.weight"]["shape"]
            self.assertEqual((shown["output.scan"]["shape"], shown["output.scan"]["type"]), ([rows, cols], "I8"))
            self.assertEqual((shown["output.scan_info"]["shape"], shown["output.scan_info"]["bytes"]), ([rows, 3], 12 * rows))
        self.assertEqual(contents(self.made(packed, "--pack", name="again.gguf")), contents(packed))
        self.assertNotIn(b"output.scan", contents(self.made(packed)))
        other = self.made(small, "--pack", "--embedding-type", "f32", "--lossy")
        self.assertIn(b"output.scan", contents(other))
        result = call(RUN, "-m", other, "-p", "The old dog", "-n", "2", "--greedy")
        self.assertNotIn("scan copy", result.err)

    def test_embeddings(self):
        for kind in ("f32", "bf16", "f16"):
            self.same(MODEL, self.made(MODEL, "--embedding-type", kind))
        result = convert("-f", "--embedding-type", "q8_0", MODEL, path_of("made.gguf"))
        self.assertEqual(result.code, 3)
        self.assertIn("token_embd.weight", result.err)
        self.assertFalse(os.path.exists(path_of("made.gguf.part")))
        rounded = self.made(MODEL, "--embedding-type", "q8_0", "--lossy")
        result = convert("--diff", MODEL, rounded)
        self.assertEqual((result.code, result.text.split(":")[0]), (1, "token_embd.weight"))

    def test_scales_of_the_family(self):
        """A tensor NAME.scale becomes part of the scale of I2_S."""
        self.assertEqual(convert("--synthetic", "tiny", "--arch", "bitnet", "-f", path_of("apart.gguf")).code, 0)
        made = self.made(path_of("apart.gguf"))
        self.same(path_of("apart.gguf"), made)
        self.assertEqual(story(path_of("apart.gguf")), story(made))

    def test_verify(self):
        path = self.made(MODEL)
        result = convert("--verify", path)
        self.assertEqual((result.code, result.out), (0, b""))
        data = bytearray(contents(path))
        data[-1000] ^= 1
        write("made.gguf", data)
        result = convert("--verify", path)
        self.assertEqual(result.code, 1)
        self.assertIn("checksum", result.err)
        result = convert("--verify", MODEL)
        self.assertEqual(result.code, 1)
        self.assertIn("has no checksums", result.err)

    def test_diff_of_other_models(self):
        for seed in "12":
            self.assertEqual(convert("--synthetic", "tiny", "--seed", seed, "-f", path_of(seed)).code, 0)
        result = convert("--diff", path_of("1"), path_of("2"))
        self.assertEqual(result.code, 1)
        self.assertIn("blk.0.ffn_down.weight", result.text)
        result = convert("--diff", path_of("1"), MODEL)
        self.assertEqual((result.code, result.text.split(":")[0]), (1, "n_vocab"))

    @needs_json
    def test_inspect(self):
        shown = convert("--inspect", "--json", MODEL)
        self.assertEqual(shown.code, 0, shown.err)
        self.assertEqual(shown.json["schema"], "bitnet-inspect/1")
        self.assertEqual(shown.json["keys"]["bitnet-b1.58.block_count"], 5)
        model = Gguf(contents(MODEL))
        of_name = {tensor["name"]: tensor for tensor in shown.json["tensors"]}
        for tensor in model.tensors:
            found = of_name[tensor.name.decode()]
            self.assertEqual(found["shape"], (tensor.dims[::-1] if len(tensor.dims) > 1 else [1, *tensor.dims]))
            if tensor.kind == 36:
                all_codes = b"".join(codes(tensor.data, *tensor.dims[::-1]))
                self.assertEqual(found["codes"], {str(t): all_codes.count(t + 1) for t in (-1, 0, 1)})
                (scale,) = struct.unpack_from("<f", tensor.data, len(all_codes) // 4)
                self.assertAlmostEqual(found["scales"]["min"], scale, places=7)
        text = convert("--inspect", MODEL).text
        self.assertIn("tokenizer.ggml.pre = ", text)
        self.assertEqual(len(text.splitlines()), len(shown.json["keys"]) + len(model.tensors))

    def test_inspect_what_is_refused(self):
        path = write("odd.gguf", contents(MODEL).replace(b"bitnet-b1.58", b"bitnet-b9.99"))
        result = convert("--inspect", path)
        self.assertEqual(result.code, 3)
        self.assertIn("bitnet-b9.99", result.err)
        self.assertIn("blk.4.ffn_down.weight", result.text)


class Resume(unittest.TestCase):
    def setUp(self):
        self.whole = path_of("whole.gguf")
        self.assertEqual(convert("-f", "-t", "tq2_0", MODEL, self.whole).code, 0)
        self.path = path_of("resumed.gguf")

    def killed(self, most, threads="1"):
        """An attempt whose process dies when it writes byte `most`, or, if another thread than the first does, is told so."""
        def limit():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        result = convert("-f", "-q", "--resume", "-t", "tq2_0", "--threads", threads, MODEL, self.path,
                         preexec_fn=limit)
        self.assertIn(result.code, (-signal.SIGXFSZ,) if threads == "1" else (-signal.SIGXFSZ, 5))
        self.assertFalse(os.path.exists(self.path))

    def finish(self, *args):
        result = convert("-f", "--resume", "-t", "tq2_0", *args, MODEL, self.path)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(contents(self.path), contents(self.whole))
        self.assertFalse(os.path.exists(self.path + ".part"))
        os.remove(self.path)
        return "from an earlier attempt" in result.err

    def test_killed_at_any_byte(self):
        size = os.stat(self.whole).st_size
        kept = []
        for i, most in enumerate((0, 1, 15, 16, 17, 4096, 65000, size // 2, size // 2 + 1, size * 3 // 4 + 13, size - 1)):
            self.killed(most, "13"[i % 2])
            kept.append(self.finish())
        self.assertEqual((kept[0], kept[-1]), (False, True))

    def test_killed_again_and_again(self):
        size = os.stat(self.whole).st_size
        for most in range(size // 8, size, size // 8):
            self.killed(most)
        self.assertTrue(self.finish())

    def test_damaged_part(self):
        """What does not have its checksum is written again; the part of another conversion is not taken for this one's."""
        size = os.stat(self.whole).st_size
        self.killed(size * 3 // 4)
        data = bytearray(contents(self.path + ".part"))
        data[size * 5 // 8] ^= 4
        write("resumed.gguf.part", data)
        self.assertTrue(self.finish("--threads", "3"))
        self.killed(size * 3 // 4)
        result = convert("-f", "--resume", "-t", "tq1_0", MODEL, self.path)
        self.assertEqual(result.code, 0)
        self.assertNotIn("earlier attempt", result.err)
        os.remove(self.path)

    def test_complete_but_for_the_name(self):
        write("resumed.gguf.part", contents(self.whole))
        self.assertTrue(self.finish())

    def test_part_is_no_model(self):
        self.killed(os.stat(self.whole).st_size - 1)
        result = call(RUN, "-m", self.path + ".part", "-p", "x")
        self.assertEqual(result.code, 3)
        os.remove(self.path + ".part")


class Memory(unittest.TestCase):
    """Of a checkpoint with a hole for weights; BITNET_TEST_SPARSE_GB says how large, 0.25 if not set."""
    WANTED = float(os.environ.get("BITNET_TEST_SPARSE_GB", "0.25")) * 1e9
    HIDDEN, FF, VOCAB = (1024, 4096, 16384) if WANTED < 20e9 else (4096, 16384, 16384)  # layers as a model would have
    LIMIT = 2 * HIDDEN * VOCAB + (64 << 20)  # the largest tensor and 64 MiB

    def sparse(self, folder, layers):
        model = Folder(MODEL)
        model.config.update(hidden_size=self.HIDDEN, intermediate_size=self.FF, num_hidden_layers=layers, vocab_size=self.VOCAB)
        model.config.update(num_attention_heads=self.HIDDEN // 256, num_key_value_heads=self.HIDDEN // 512)
        model.config["quantization_config"]["quantization_mode"] = "online"
        names = {"model.embed_tokens": (self.VOCAB, self.HIDDEN), "model.norm": (self.HIDDEN,)}
        wide, square, narrow = (self.FF, self.HIDDEN), (self.HIDDEN, self.HIDDEN), (self.HIDDEN // 2, self.HIDDEN)
        for layer in range(layers):
            names.update({f"model.layers.{layer}.{name}": shape for name, shape in (
                ("input_layernorm", square[:1]), ("post_attention_layernorm", square[:1]),
                ("self_attn.attn_sub_norm", square[:1]), ("mlp.ffn_sub_norm", wide[:1]), ("self_attn.q_proj", square),
                ("self_attn.k_proj", narrow), ("self_attn.v_proj", narrow), ("self_attn.o_proj", square),
                ("mlp.gate_proj", wide), ("mlp.up_proj", wide), ("mlp.down_proj", wide[::-1]))})
        model.tensors = {}
        model.save(folder)
        at, entries = 0, {}
        for name, shape in names.items():
            size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
            entries[name + ".weight"] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
            at += size
        header = json.dumps(entries).encode()
        with open(os.path.join(folder, "model.safetensors"), "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            file.truncate(8 + len(header) + at)
        return at

    def limited(self, *args):
        def limit():
            resource.setrlimit(resource.RLIMIT_DATA, (self.LIMIT, self.LIMIT))
        return convert(*args, preexec_fn=limit, timeout=max(240, self.WANTED / 2e7))

    @needs_json
    def test_largest_tensor_and_64_mib(self):
        if self.limited("--version").code != 0:
            self.skipTest("this build needs more memory for itself")
        wanted = self.WANTED
        layer = 2 * (3 * self.HIDDEN * self.FF + 3 * self.HIDDEN * self.HIDDEN)
        folder, made = path_of("sparse"), path_of("sparse.gguf")
        size = self.sparse(folder, max(1, round(wanted / layer)))
        self.assertGreater(size, 0.9 * wanted)
        if wanted > 4 * self.LIMIT:
            self.assertGreater(size, self.LIMIT)
        result = self.limited("-f", folder, made)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(self.limited("--verify", made).code, 0)
        os.remove(made)


class Refusals(unittest.TestCase):
    def test_usage(self):
        path = path_of("nothing.gguf")
        for args, said in (([], "nothing to make"), ([MODEL], "output file is missing"),
                           ([MODEL, path, "-t", "q9"], "q9"), (["--inspect", MODEL, path], "too many"),
                           (["--diff", MODEL], "second input"), (["--inspect", "--diff", MODEL, MODEL], "exclude"),
                           ([path_of("absent"), path], "absent"), (["--synthetic", "huge", path], "huge"),
                           (["--synthetic", "tiny"], "output file is missing"),
                           (["--synthetic", "tiny", "--arch", "llama", path], "llama"),
                           (["--synthetic", "2b4t", "--arch", "bitnet", path], "bitnet-b1.58"),
                           (["--synthetic", "tiny", "--i2s-layout", "D", path], "D"),
                           (["--synthetic", "tiny", path, "another"], "another"),
                           (["--synthetic", "tiny", path_of("missing/x.gguf")], "missing/x.gguf")):
            result = convert(*args)
            self.assertEqual((result.code, result.out), (2, b""), args)
            self.assertIn(said, result.err)
        self.assertFalse(os.path.exists(path))

    def test_existing_file(self):
        path = path_of("kept.gguf")
        with open(path, "w", encoding="ascii") as file:
            file.write("mine")
        self.assertEqual(convert("--synthetic", "tiny", path).code, 2)
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "mine")
        self.assertEqual(convert("--synthetic", "tiny", "--force", path).code, 0)
        self.assertGreater(os.stat(path).st_size, 100000)
        self.assertEqual(convert("--synthetic", "tiny", "--force", scratch.name).code, 2)

    def test_interrupt_leaves_nothing(self):
        folder = path_of("interrupted")
        os.mkdir(folder)
        with subprocess.Popen([CONVERT, "--synthetic", "small", os.path.join(folder, "x.gguf")], env=environment(),
                              stderr=subprocess.PIPE) as process:
            while not os.listdir(folder) and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(signal.SIGINT)
            err = process.communicate(timeout=60)[1]
        if process.returncode == 0:
            self.skipTest("it was done before the signal came")
        self.assertEqual(process.returncode, 130)
        self.assertIn(b"interrupted", err)
        self.assertEqual(os.listdir(folder), [])


main()
