import collections
import os
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest

from dialogue_ser.errors import FeatureError, MissingDataError
from dialogue_ser.features.files import pickle_reading as pickles
from dialogue_ser.features.files.pickle_reading import read_pickle


class Payload:
    """Reduces to a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture
def saved(tmp_path):
    """Writes bytes, or pickles an object, and gives the path."""

    def save(value, protocol=4, raw=False):
        path = tmp_path / "features.pkl"
        path.write_bytes(value if raw else pickle.dumps(value, protocol=protocol))
        return path

    return save


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_and_arrays_come_back_as_they_were(saved, protocol):
    value = {
        "dia0": [np.arange(6, dtype=np.float32).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3))],
        7: (np.array(["a", "bc"]), np.array([1, None, "x"], object), np.float64(2.5), np.array([], np.int64)),
        "more": [
            True,
            None,
            1.5,
            {"s"},
            frozenset({3}),
            b"\xff\x00",
            bytearray(b"ab"),
            "für",
            {"inner": [[1, 2], [3]]},
        ],
        "ordered": collections.OrderedDict(b=1, a=2),
        "counted": collections.defaultdict(list, {"k": [1]}),
        "big": np.arange(3, dtype=">i4"),
        np.str_("text"): np.int64(3),
    }
    found = read_pickle(saved(value, protocol))
    assert list(found) == [*value]
    for array, expected in zip(found["dia0"], value["dia0"], strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
    texts, objects, number, empty = found[7]
    assert (texts.tolist(), objects, number, empty.tolist()) == (["a", "bc"], [1, None, "x"], 2.5, [])
    assert found["more"] == [
        True,
        None,
        1.5,
        ["s"],
        [3],
        b"\xff\x00",
        bytearray(b"ab"),
        "für",
        {"inner": [[1, 2], [3]]},
    ]
    assert list(found["ordered"].items()) == [("b", 1), ("a", 2)]
    assert found["counted"] == {"k": [1]}
    assert found["big"].tolist() == [0, 1, 2]
    assert found["text"] == 3


def test_pickles_of_python_2_are_read_as_latin1(saved):
    data = struct.pack("<2f", 1.5, -2.0)
    escaped = "".join(f"\\x{byte:02x}" for byte in data)
    text = (
        "(dp0\nS'Ses01F_\\xe9'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\n"
        "tp6\nRp7\n(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'f4'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\n"
        f"tp14\nbI00\nS'{escaped}'\np15\ntp16\nbs."
    )
    (item,) = read_pickle(saved(text.encode("latin1"), raw=True)).items()
    assert item[0] == "Ses01F_é"
    assert item[1].tolist() == [1.5, -2.0]


def attacks(mark):
    """Pickles that would create the file ``mark`` (or do worse), and the name that must be refused."""
    touch = f"open({str(mark)!r}, 'w').close()"
    command = f"touch {mark}"
    yield Payload(os.system, command), "posix.system"
    yield Payload(eval, touch), "builtins.eval"
    yield Payload(exec, touch), "builtins.exec"
    yield Payload(__import__, "os"), "builtins.__import__"
    yield Payload(getattr, {}, "get"), "builtins.getattr"
    yield Payload(open, str(mark), "w"), "io.open"
    yield Payload(subprocess.check_output, ["touch", str(mark)]), "subprocess.check_output"
    yield {"dia0": [np.ones(3), Payload(list, [Payload(os.system, command)])]}, "posix.system"
    yield Payload(np.load, str(mark)), "numpy.load"
    yield Payload(pickle.loads, pickle.dumps(Payload(os.system, command))), "_pickle.loads"
    yield Payload(np.testing.measure, touch), "numpy.testing._private.utils.measure"


@pytest.mark.parametrize("number", range(11))
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_what_is_not_data_is_named_and_never_called(saved, tmp_path, number, protocol):
    mark = tmp_path / "executed"
    payload, name = list(attacks(mark))[number]
    path = saved(payload, protocol)
    with pytest.raises(FeatureError) as caught:
        read_pickle(path)
    shown = str(caught.value)
    function = name.rpartition(".")[2]
    refused_name = shown.partition("asks for ")[2].partition(",")[0]  # Python 2 names of modules in protocols 0 to 2
    assert refused_name.rpartition(".")[2] == function
    assert protocol < 3 or refused_name == name
    assert "refused before anything was called" in shown
    assert not mark.exists()


def test_the_payloads_are_real(saved, tmp_path):
    mark = tmp_path / "executed"
    pickle.loads(pickle.dumps(Payload(os.system, f"touch {mark}")))
    assert mark.exists()


@pytest.mark.parametrize(
    ("attack", "found"),
    [
        (b"cbuiltins\nlist\n(I1\nItR.", "cannot be read"),  # not a pickle
        (b"cnumpy\nndarray\n)R.", "calls a type that it may only mention"),
        (b"cbuiltins\nbytearray\n(I99999999999\ntR.", "encodes something|cannot be read"),
        (b"ccollections\nOrderedDict\n}S'_action'\nNsb.", "changes a type"),
        (b"cbuiltins\nlist\nN}S'_action'\nNs\x86b.", "changes a type"),
        (b"\x80\x02\x82\x01.", "unregistered extension"),
        (b"Pfile\n.", "persistent"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "cannot be read|more memory"),
        (b"", "cannot be read"),
        (b"not a pickle at all", "cannot be read"),
    ],
)
def test_pickles_made_to_trick_the_sandbox_are_refused(saved, attack, found):
    with pytest.raises(FeatureError, match=found):
        read_pickle(saved(attack, raw=True))


def test_huge_claims_end_at_the_memory_limit(saved):
    claim = b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"x."
    with pytest.raises(FeatureError, match=r"memory|cannot be read"):
        read_pickle(saved(claim, raw=True))
    # an empty list is one byte in the file and 56 in memory
    many = b"\x80\x02](" + b"]" * 3_000_000 + b"e."
    with pytest.raises(FeatureError, match="more memory"):
        read_pickle(saved(many, raw=True), memory_bytes=120 << 20)


def test_nesting_without_end_is_harmless(saved):
    deep = b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."
    value = read_pickle(saved(deep, raw=True))
    assert isinstance(value, list)
    cyclic: list[object] = []
    cyclic.append(cyclic)
    with pytest.raises(FeatureError, match="contains itself"):
        read_pickle(saved(cyclic))


def test_what_is_shared_stays_shared_but_may_not_stand_for_more_than_the_memory(saved):
    row = np.ones(3)
    shared = read_pickle(saved({"a": row, "b": row, "c": [["ha"]] * 9}))
    assert shared["c"][0] is shared["c"][8]
    laughs: list[object] = ["ha"]
    for _ in range(60):
        laughs = [laughs] * 10  # 10^60 in a few hundred bytes
    with pytest.raises(FeatureError, match="more memory"):
        read_pickle(saved(laughs))
    numbers = [0.0] * 100_000
    with pytest.raises(FeatureError, match="more memory"):
        read_pickle(saved({str(key): numbers for key in range(10_000)}))


def test_bytes_that_many_arrays_share_are_sent_once(saved):
    content = b"\x80\x04B" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b"\x940}("
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1048576\ntcnumpy\ndtype\n"
        b"(S'i1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nh\0tb"
    )
    content += b"".join(b"S'u%d'\n" % number + array for number in range(300))
    path = saved(content + b"u.", raw=True)
    # 300 MB if each array were written out, in 1 MB; 4 bytes a value as features
    with pytest.raises(FeatureError, match="more memory"):
        read_pickle(path)
    command = [sys.executable, "-I", "-S", str(pickles._SANDBOX_SCRIPT), str(4 << 30), "60"]
    with path.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, check=True)
    assert len(done.stdout) < 2 << 20


@pytest.mark.parametrize("key", [frozenset({1}), (frozenset({1}),), ("a", frozenset())])
def test_keys_that_no_dictionary_of_features_has_are_refused(saved, key):
    with pytest.raises(FeatureError, match="keys that are neither texts nor numbers"):
        read_pickle(saved({key: [1.0]}))


@pytest.mark.parametrize("code", ["f0", "f3", "i16", "b4", "S0", "U0", "V4", "f" + "9" * 50])
def test_array_types_that_numpy_does_not_have_are_refused(saved, code):
    raw = pickle.dumps({"a": np.zeros(0, np.float32)}, protocol=0)
    assert b"Vf4\n" in raw
    with pytest.raises(FeatureError, match=f"arrays of type '{code[:15]}"):
        read_pickle(saved(raw.replace(b"Vf4\n", f"V{code}\n".encode()), raw=True))


def test_half_characters_and_endless_numbers_are_refused(saved):
    for value in ({"\ud800": [1.0]}, ["\ud800"], {"a": 10**5000}):
        with pytest.raises(FeatureError, match="cannot be read"):
            read_pickle(saved(value))


def test_arrays_whose_bytes_do_not_fit_their_shape_are_refused(saved):
    array = np.ones(3, np.float32)
    raw = pickle.dumps(array, protocol=2).replace(b"K\x03\x85", b"K\x09\x85")
    assert raw != pickle.dumps(array, protocol=2)
    with pytest.raises(FeatureError, match="not as many values"):
        read_pickle(saved(raw, raw=True))
    with pytest.raises(FeatureError, match="structured"):
        read_pickle(saved(np.zeros(2, [("a", "f4")])))
    with pytest.raises(FeatureError, match="type 'M8'"):
        read_pickle(saved(np.zeros(2, "M8[s]")))


def test_a_truncated_pickle_and_a_missing_one_are_errors(saved, tmp_path):
    whole = pickle.dumps({"a": np.ones(1000)})
    with pytest.raises(FeatureError, match="if the file is incomplete"):
        read_pickle(saved(whole[:500], raw=True))
    with pytest.raises(MissingDataError, match="no such file"):
        read_pickle(tmp_path / "nothing.pkl")


LOCKED = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import os, socket
import pickle_sandbox
pickle_sandbox.restrict_process(1 << 30, 10)
for attempt in (lambda: open("/tmp/x", "w"), lambda: socket.socket(), lambda: os.fork(), lambda: os.system("true"),
                lambda: __import__("xmlrpc"), lambda: os.dup(0)):
    try:
        attempt()
    except (OSError, ImportError, pickle_sandbox.RefusedError) as error:
        print("refused", type(error).__name__)
    else:
        print("allowed")
"""


def test_the_reading_process_could_not_do_harm_if_it_wanted():
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOCKED, str(pickles._SANDBOX_SCRIPT.parent)],
        capture_output=True,
        text=True,
        check=True,
        env={},
    )
    assert done.stdout.split()
    assert "allowed" not in done.stdout
    assert done.stdout.count("refused") == 6
