"""GGUF files as Python objects that can be bent out of shape before they are written. Shares no code with the library."""
import copy
import struct

U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 = range(13)
FORMATS = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q", I64: "<q",
           F64: "<d"}
TYPE_F32, TYPE_F16, TYPE_I2S = 0, 1, 36


def value(kind, number):
    """A key's (type, bytes)."""
    return kind, struct.pack(FORMATS[kind], number)


def text(string, claimed=None):
    data = string if isinstance(string, bytes) else string.encode()
    return STR, struct.pack("<Q", len(data) if claimed is None else claimed) + data


def array(element, items, claimed=None):
    """`items`: bytes taken as they are, or a list of numbers, or of strings."""
    if isinstance(items, bytes):
        data = items
    elif element == STR:
        data = b"".join(text(item)[1] for item in items)
    else:
        data = b"".join(struct.pack(FORMATS[element], item) for item in items)
    return ARR, struct.pack("<IQ", element, len(items) if claimed is None else claimed) + data


class Tensor:
    def __init__(self, name, dims, kind, data):
        self.name, self.dims, self.kind, self.data = name, dims, kind, data
        self.n_dims = None   # claimed
        self.offset = None   # claimed; None: where it is
        self.skip = 0        # bytes left free in front of it


class Gguf:
    """magic, version; keys: a list of [name, type, bytes]; tensors. Claimed counts are None if they are true."""

    def __init__(self, data):
        self.at = 0
        self.source = data
        self.magic, self.version, n_tensors, n_keys = data[:4], *self.take("<IQQ", 4)
        self.n_tensors = self.n_keys = None
        self.keys = [self.read_key() for _ in range(n_keys)]
        self.alignment = 32
        self.tensors = []
        infos = [self.read_info() for _ in range(n_tensors)]
        start = -(-self.at // 32) * 32
        order = sorted(infos, key=lambda info: info[3]) + [(0, 0, 0, len(data) - start)]
        ends = {info[3]: after[3] for info, after in zip(order, order[1:])}
        for name, dims, kind, offset in infos:
            size = {TYPE_F32: 4, TYPE_F16: 2}.get(kind, 0)
            for d in dims:
                size *= d
            end = offset + size if size else ends[offset]
            self.tensors.append(Tensor(name, dims, kind, data[start + offset:start + end]))
        del self.source

    def take(self, form, at=None):
        at = self.at if at is None else at
        self.at = at + struct.calcsize(form)
        return struct.unpack_from(form, self.source, at)

    def take_text(self):
        (n,) = self.take("<Q")
        self.at += n
        return self.source[self.at - n:self.at]

    def read_key(self):
        name = self.take_text()
        (kind,) = self.take("<I")
        start = self.at
        if kind == STR:
            self.take_text()
        elif kind == ARR:
            element, n = self.take("<IQ")
            for _ in range(n if element == STR else 0):
                self.take_text()
            if element != STR:
                self.at += n * struct.calcsize(FORMATS[element])
        else:
            self.take(FORMATS[kind])
        return [name, kind, self.source[start:self.at]]

    def read_info(self):
        name = self.take_text()
        (n,) = self.take("<I")
        dims = list(self.take("<%dQ" % n))
        return (name, dims) + self.take("<IQ")

    def copy(self):
        return copy.deepcopy(self)

    def key(self, name):
        name = name.encode()
        return next(key for key in self.keys if key[0] == name)

    def find_key(self, name):
        name = name.encode()
        return next((key for key in self.keys if key[0] == name), None)

    def tensor(self, name):
        name = name.encode()
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def strings(self, name):
        """The items of an array of strings."""
        data, at, items = self.key(name)[2], 12, []
        while at < len(data):
            (n,) = struct.unpack_from("<Q", data, at)
            items.append(data[at + 8:at + 8 + n])
            at += 8 + n
        return items

    def write(self):
        """The file's bytes, and where its parts start."""
        out = bytearray(self.magic)
        marks = [len(out)]
        n_tensors = len(self.tensors) if self.n_tensors is None else self.n_tensors
        n_keys = len(self.keys) if self.n_keys is None else self.n_keys
        for form, number in (("<I", self.version), ("<Q", n_tensors), ("<Q", n_keys)):
            out += struct.pack(form, number)
            marks.append(len(out))
        for name, kind, data in self.keys:
            out += text(name)[1]
            marks.append(len(out))
            out += struct.pack("<I", kind)
            marks.append(len(out))
            out += data
            marks.append(len(out))
        data_bytes = bytearray()
        starts = []
        for tensor in self.tensors:
            data_bytes += bytes(-len(data_bytes) % self.alignment + tensor.skip)
            starts.append(len(data_bytes))
            data_bytes += tensor.data
        for tensor, start in zip(self.tensors, starts):
            n = len(tensor.dims) if tensor.n_dims is None else tensor.n_dims
            out += text(tensor.name)[1]
            marks.append(len(out))
            out += struct.pack("<I%dQIQ" % len(tensor.dims), n, *tensor.dims, tensor.kind,
                               start if tensor.offset is None else tensor.offset)
            marks.append(len(out))
        out += bytes(-len(out) % self.alignment)
        marks += [len(out) + start for start in starts]
        return bytes(out + data_bytes), marks
