"""Checkpoints that attack who reads them: each made of a good small one, with h5py or byte by byte."""

import functools
import json
import re
import shutil
import struct
import zlib

import h5py
import numpy as np

from vidclass.training.checkpoint import METADATA

ATTACKS = {}  # name: function(path of a copy of a good checkpoint, numpy random generator), which spoils it
HARMLESS = set()  # names of those that may be read, as no harm is in them
AT_LOAD = set()  # names of those that show only when the network is built
ON_METADATA = set()  # names of those that change nothing but our metadata
BOMB = 2**28  # bytes that a compressed array becomes
NEVER = "/etc/hostname"  # a file that no checkpoint has to do with


def attack(function):
    ATTACKS[function.__name__] = function
    return function


def harmless(function):
    HARMLESS.add(function.__name__)
    return attack(function)


def make(name, whole, path, seed=0):
    """Makes a hostile checkpoint of a good one."""
    shutil.copyfile(whole, path)
    ATTACKS[name](path, np.random.default_rng(seed))


def on_file(function):
    """For attacks that work on the opened h5py.File."""

    @functools.wraps(function)
    def work(path, random):
        with h5py.File(path, "a", libver="latest" if "dense" in function.__name__ else None) as file:
            function(file, random)

    return work


def an_array(file, random):
    """(group of a layer, name of one of its arrays), any one with two axes."""
    found = []
    for layer in file["model_weights"].attrs["layer_names"]:
        group = file["model_weights"][layer]
        found += [(group, name) for name in group.attrs["weight_names"] if group[name].ndim == 2]
    return found[random.integers(len(found))]


def replace(file, random, **options):
    """Puts another dataset in an array's place. Returns it."""
    group, name = an_array(file, random)
    shape = options.pop("shape", group[name].shape)
    del group[name]
    return group.create_dataset(name, shape, **options)


@functools.cache
def deflated(size, times):
    """So many zero bytes, deflated, and what came out deflated again."""
    if times > 1:
        return zlib.compress(deflated(size, times - 1))
    content = zlib.compressobj(1)
    return b"".join([content.compress(bytes(2**24)) for _ in range(size >> 24)] + [content.flush()])


def with_bomb(file, random, times):
    group, name = an_array(file, random)
    shape = group[name].shape
    del group[name]
    side = int((BOMB // 4) ** 0.5)
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((side, side))
    for _ in range(times):
        plist.set_deflate(9)
    create = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    create.set_create_intermediate_group(True)
    space = h5py.h5s.create_simple(shape, (h5py.h5s.UNLIMITED,) * 2)
    dataset = h5py.h5d.create(group.id, name.encode(), h5py.h5t.IEEE_F32LE, space, plist, create)
    dataset.write_direct_chunk((0, 0), deflated(side * side * 4, times))


@attack
@on_file
def deflated_once(file, random):
    with_bomb(file, random, 1)


@attack
@on_file
def deflated_twice(file, random):
    with_bomb(file, random, 2)


@attack
@on_file
def many_filters(file, random):
    replace(file, random, dtype="i4", chunks=True, shuffle=True, compression="gzip", fletcher32=True)


@attack
@on_file
def lzf(file, random):
    replace(file, random, dtype="f4", chunks=True, compression="lzf")


@attack
@on_file
def huge_chunk_of_few_bytes(file, random):
    replace(file, random, dtype="f4", chunks=(2**15, 2**14), maxshape=(None, None))


@attack
@on_file
def array_never_written(file, random):
    replace(file, random, dtype="f4")


@attack
@on_file
def array_larger_than_the_file(file, random):
    replace(file, random, dtype="f4", shape=(2**20, 2**20))


@attack
@on_file
def virtual_array(file, random):
    group, name = an_array(file, random)
    shape = group[name].shape
    del group[name]
    layout = h5py.VirtualLayout(shape, np.float32)
    layout[:] = h5py.VirtualSource(NEVER, "x", shape)
    group.create_virtual_dataset(name, layout)


@attack
@on_file
def array_in_another_file(file, random):
    replace(file, random, dtype="f4", external=[(NEVER, 0, h5py.h5f.UNLIMITED)])


@attack
@on_file
def soft_link(file, random):
    group, name = an_array(file, random)
    file.move(f"{group.name}/{name}", "elsewhere")
    group[name] = h5py.SoftLink("/elsewhere")


@attack
@on_file
def external_link(file, random):
    group, name = an_array(file, random)
    del group[name]
    group[name] = h5py.ExternalLink(NEVER, "x")


@attack
@on_file
def model_in_another_file(file, random):
    del file["model_weights"]
    file["model_weights"] = h5py.ExternalLink(NEVER, "model_weights")


@attack
@on_file
def compound_type(file, random):
    replace(file, random, dtype=[("a", "f4"), ("b", "i8", (100,))])


@attack
@on_file
def references(file, random):
    dataset = replace(file, random, dtype=(h5py.ref_dtype, h5py.regionref_dtype)[random.integers(2)])
    if h5py.check_ref_dtype(dataset.dtype) is h5py.Reference:
        dataset[...] = dataset.ref


@attack
@on_file
def strings(file, random):
    replace(file, random, dtype=h5py.string_dtype())[...] = "x" * 1000


@attack
@on_file
def float_of_another_kind(file, random):
    """Four bytes with a sign, 11 bits of exponent and 20 of mantissa: HDF5 would make doubles of them."""
    group, name = an_array(file, random)
    shape = group[name].shape
    del group[name]
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(31, 20, 11, 0, 20)
    create = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    create.set_create_intermediate_group(True)
    h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple(shape), lcpl=create)


@attack
@on_file
def type_in_place_of_a_layer(file, random):
    group, _ = an_array(file, random)
    place = group.name
    del file[place]
    file[place] = np.dtype("f4")


@attack
def names_that_share_a_heap_object(path, random):
    """900 names, each the same megabyte: 14 kB of references."""
    mark = 2**20 + int(random.integers(1000))
    with h5py.File(path, "a") as file:
        names = file["model_weights"].attrs["layer_names"].tolist()
        file["model_weights"].attrs["layer_names"] = np.array(
            ["x" * mark] + names + ["y"] * (899 - len(names)), object
        )
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack("<I", mark))  # length, place of the heap, number in it
    content[at : at + 16 * 900] = content[at : at + 16] * 900
    path.write_bytes(content)


@attack
@on_file
def a_name_of_megabytes(file, random):
    file["model_weights"].attrs["layer_names"] = np.array(["x" * 2**26], object)


@attack
@on_file
def metadata_of_megabytes(file, random):
    file.attrs[METADATA] = " " * 2**26 + file.attrs[METADATA]


@attack
@on_file
def dense_attribute_of_megabytes(file, random):
    file.move("model_weights", "before")
    group = file.create_group("model_weights")
    for name in file["before"]:
        file.move(f"before/{name}", f"model_weights/{name}")
    group.attrs["layer_names"] = np.full(2**26 // 16, b"x" * 15, "S16")


@attack
@on_file
def attribute_of_another_shape(file, random):
    file["model_weights"].attrs["layer_names"] = np.zeros((50, 50), "S4")


@attack
@on_file
def attribute_of_references(file, random):
    file["model_weights"].attrs["layer_names"] = np.array([file.ref] * 100, h5py.ref_dtype)


@attack
@on_file
def one_array_many_times(file, random):
    group, name = an_array(file, random)
    group.attrs["weight_names"] = np.full(2000, name.encode())  # an attribute has 64 kB


@attack
@on_file
def one_layer_many_times(file, random):
    group, _ = an_array(file, random)
    name = group.name.rsplit("/", 1)[1]
    file["model_weights"].attrs["layer_names"] = np.full(3000, name.encode())


@attack
@on_file
def deep_groups(file, random):
    group, name = an_array(file, random)
    path = "/".join(["d"] * 5000)
    file.move(f"{group.name}/{name}", f"{group.name}/{path}/w")
    group.attrs["weight_names"] = np.array([f"{path}/w"], object)


@attack
@on_file
def groups_in_a_circle(file, random):
    group, name = an_array(file, random)
    group["round"] = group
    group.attrs["weight_names"] = np.array([f"{'round/' * 3000}{name}"], object)


@harmless
@on_file
def many_groups(file, random):
    for number in range(3000):
        file.create_group(f"many/{number}")


@harmless
@on_file
def what_nobody_asks_for(file, random):
    """A bomb, links and a huge attribute where no reader of checkpoints looks."""
    file["beside"] = h5py.ExternalLink(NEVER, "x")
    file.create_dataset("bomb", (2**15, 2**14), "f4", chunks=(2**15, 2**14), compression="gzip")
    file.attrs["comment"] = "x" * 2**22


@attack
def heap_without_end(path, random):
    """The free space of each heap, its object 0, is of size 0: libhdf5 looks at it for ever."""
    content = bytearray(path.read_bytes())
    for heap in list(re.finditer(b"GCOL", content)):
        at = heap.start() + 16
        while True:
            number, size = struct.unpack_from("<H6xQ", content, at)
            if number == 0:
                break
            at += 16 + -(-size // 8) * 8
        struct.pack_into("<Q", content, at + 8, 0)
    path.write_bytes(content)


def with_metadata(name, expected=attack, **changes):
    """An attack by metadata. changes: of its values; called with the random generator if they can be."""

    def change(file, random):
        metadata = json.loads(file.attrs[METADATA])
        metadata.update({key: value(random) if callable(value) else value for key, value in changes.items()})
        file.attrs[METADATA] = json.dumps(metadata)

    change.__name__ = name
    ON_METADATA.add(name)
    expected(on_file(change))


def numbered(random, count=2):
    return [f"class {number}" for number in range(count)]


with_metadata("frames_of_49_megapixels", image_shape=[7000, 7000, 3])
with_metadata("frames_of_4_gigapixels", image_shape=[65536, 65536, 3])
with_metadata("narrow_frames", image_shape=[75, 2**30, 3])
with_metadata("sixty_channels", image_shape=[75, 75, 60])
with_metadata("name_of_20000_letters", class_names=["x" * 20000, "y"])
with_metadata("ten_thousand_classes", class_names=functools.partial(numbered, count=10000))
with_metadata("two_classes_of_one_name", class_names=["x", "x"])
with_metadata("empty_name", class_names=["", "x"])
with_metadata("name_with_a_null", class_names=["a\0b", "x"])
with_metadata("name_of_a_path", class_names=["../../x", "x"])
with_metadata("name_that_is_no_text", class_names=["\ud800", "x"])
with_metadata("name_of_a_folder_that_is_no_text", harmless, class_names=["\udcff", "x"])
with_metadata("name_that_clears_the_screen", harmless, class_names=["\x1b[2J\r\n", "\u202ex"])
with_metadata("windows_of_1e300_seconds", clip_seconds=1e300)
with_metadata("windows_of_1e_300_seconds", clip_seconds=1e-300)
with_metadata("windows_of_many_digits", clip_seconds=10**4000)
with_metadata("temperature_near_0", temperature=1e-310)
with_metadata("ranges_of_another_network", ranges=[1.0] * 58)
with_metadata("ranges_that_are_no_numbers", ranges=[float("nan")] * 59)
with_metadata("ranges_of_everything", ranges=[1e300] * 59)
with_metadata("a_million_ranges", ranges=[1.0] * 10**6)
with_metadata("uneven_ranges", ranges=[1e-3, 1e3] * 29 + [1.0])
with_metadata("least_ranges", harmless, ranges=[1e-3] * 59)
with_metadata("wide_network", units=65536)
with_metadata("wide_article", model="article", units=65536, dense=65536)
with_metadata("long_sequences", seq_length=65536, features_length=65536)
with_metadata("other_features", features_length=65536)
with_metadata("weights_somewhere_near", weights_path="../weights.h5")
with_metadata("weights_path_with_a_null", weights_path="/a\0b")
with_metadata("weights_path_of_a_megabyte", weights_path="/x" * 2**19)
with_metadata("weights_path_that_is_no_text", weights_path="/\ud800")
with_metadata("weights_path_that_is_a_number", weights_path=0)
with_metadata("weights_path_in_a_list", weights_path=["/dev/zero"])
with_metadata("weights_without_end", harmless, weights="0" * 12, weights_path="/dev/zero")
with_metadata("weights_in_memory", harmless, weights="imagenet", weights_path="/proc/self/mem")
with_metadata(
    "weights_path_that_clears_the_screen", harmless, weights="0" * 12, weights_path="/\x1b[2J\r\n\u202ex"
)
with_metadata("weights_of_a_path", weights="../../../../etc")
with_metadata(
    "deep_training",
    training={"validation_split": 0.2, "seed": 0, "batch_size": 1, "group": False, "x": [[[[]]]]},
)


@attack
@on_file
def deep_json(file, random):
    file.attrs[METADATA] = "[" * 10**6


ON_METADATA.add("deep_json")


def with_values(name, value):
    def change(file, random):
        group, array = an_array(file, random)
        group[array][...] = value(random, group[array][...])

    change.__name__ = name
    attack(on_file(change))


def one_of(random, values, new):
    values[tuple(random.integers(0, values.shape))] = new
    return values


with_values("a_weight_that_is_no_number", lambda random, values: one_of(random, values, np.nan))
with_values("an_infinite_weight", lambda random, values: one_of(random, values, -np.inf))


@attack
@on_file
def weights_that_overflow(file, random):
    """All finite; what comes of them is not."""
    weights = file["model_weights"]
    for layer in weights.attrs["layer_names"]:
        for name in weights[layer].attrs["weight_names"]:
            if weights[layer][name].ndim == 2:
                weights[layer][name][...] = np.where(
                    np.arange(weights[layer][name].size).reshape(weights[layer][name].shape) % 2, 3e38, -3e38
                )


AT_LOAD.add("weights_that_overflow")
