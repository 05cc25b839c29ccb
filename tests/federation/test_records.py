"""Orders and contributions survive the wire, and what does not answer the question is refused."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from federation.phases import Phase
from federation.wire.contribution import EVERYWHERE, Contribution
from federation.wire.records import (
    ARRAYS,
    CONFIG,
    PACKED,
    Order,
    contribution_record,
    from_arrays,
    read_contribution,
    read_model,
    to_arrays,
    to_packed,
)

KINDS = [torch.float32, torch.float64, torch.int64, torch.bool]
NAMES = st.text("abcdefgh_/.0123", min_size=1, max_size=12)
SHAPES = st.lists(st.integers(0, 4), max_size=3)


def tensor_of(shape: list[int], kind: torch.dtype, seed: int) -> torch.Tensor:
    return (10 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(kind)


TENSORS = st.dictionaries(NAMES, st.builds(tensor_of, SHAPES, st.sampled_from(KINDS), st.integers(0, 99)), max_size=4)
NON_EMPTY = st.dictionaries(
    NAMES, st.builds(tensor_of, SHAPES, st.sampled_from(KINDS), st.integers(0, 99)), min_size=1, max_size=4
)
PHASES, ROUNDS = st.sampled_from(sorted(Phase.kinds())), st.integers(0, 10_000)


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        assert (tensor.dtype, tensor.shape) == (b[name].dtype, b[name].shape)
        assert torch.equal(tensor, b[name])


@given(
    phase=PHASES,
    round_=ROUNDS,
    progress=st.floats(0, 1),
    seed=st.integers(0, 2**62),
    settings=st.dictionaries(NAMES, st.floats(allow_nan=False), max_size=3),
    tensors=TENSORS,
)
def test_an_order_survives_the_wire(phase, round_, progress, seed, settings, tensors):
    order = Order(phase, round_, progress, seed, settings, tensors)
    again = Order.from_record(order.to_record())
    assert replace(again, tensors={}) == replace(order, tensors={})
    assert_same(dict(again.tensors), tensors)


@given(
    clients=st.lists(st.integers(0, 2**40), min_size=1, max_size=5, unique=True).map(sorted).map(tuple),
    regions=st.dictionaries(st.integers(EVERYWHERE, 9), NON_EMPTY, max_size=3),
    phase=PHASES,
    round_=ROUNDS,
)
def test_a_contribution_survives_the_wire(clients, regions, phase, round_):
    nodes = tuple(client + 1 for client in clients)
    record = contribution_record(Contribution(clients, regions), phase, round_, nodes)
    again, who, answered = read_contribution(record, phase, [round_])
    assert answered == round_
    assert (again.clients, who) == (clients, nodes)
    assert again.sums.keys() == regions.keys()
    for region, tensors in regions.items():
        assert_same(dict(again.sums[region]), tensors)


def test_what_is_read_can_be_written_to():
    read = from_arrays(to_arrays({"x": torch.zeros(2)}))
    read["x"] += 1
    assert read["x"].tolist() == [1.0, 1.0]


def test_a_number_without_axes_stays_one():
    read = from_arrays(to_arrays({"x": torch.tensor(2.5, dtype=torch.float64)}))["x"]
    assert (read.shape, read.dtype, float(read)) == ((), torch.float64, 2.5)


def test_a_slice_travels_as_what_it_shows():
    whole = torch.arange(12.0).reshape(3, 4)
    assert torch.equal(from_arrays(to_arrays({"x": whole.T[1:3]}))["x"], whole.T[1:3])


def test_models_are_read_in_single_precision():
    assert read_model(to_arrays({"x": torch.ones(2, dtype=torch.float64)}))["x"].dtype == torch.float32


def test_an_order_counts_the_bytes_of_its_tensors():
    order = Order("prior", 0, tensors={"a": torch.zeros(2, 3), "b": torch.zeros((), dtype=torch.float64)})
    assert order.nbytes == 6 * 4 + 8


def reply(clients: tuple[int, ...] = (4,), nodes: tuple[int, ...] = (5,)) -> RecordDict:
    sums = {0: {"n": torch.tensor(1.0)}}
    return contribution_record(Contribution(clients, sums), "experts", 3, nodes)


@pytest.mark.parametrize(("phase", "round_"), [("experts", 4), ("prior", 3)])
def test_a_stale_reply_is_refused(phase, round_):
    with pytest.raises(ValueError, match=f"stale reply: .*expected {phase} {round_}"):
        read_contribution(reply(), phase, [round_])


@pytest.mark.parametrize("part", [ARRAYS, CONFIG])
def test_a_reply_that_lacks_a_part_is_refused(part):
    record = reply()
    del record[part]
    with pytest.raises(ValueError, match="the reply lacks its arrays or its config"):
        read_contribution(record, "experts", [3])


@pytest.mark.parametrize(("clients", "nodes"), [((), ()), ((1, 2), (2,))])
def test_a_reply_must_name_the_node_of_each_of_its_clients(clients, nodes):
    with pytest.raises(ValueError, match=f"names {len(clients)} clients and {len(nodes)} nodes"):
        read_contribution(reply(clients, nodes), "experts", [3])


def test_a_reply_without_any_mark_is_refused():
    record = RecordDict({ARRAYS: to_arrays({}), CONFIG: ConfigRecord({})})
    with pytest.raises(ValueError, match="stale reply"):
        read_contribution(record, "experts", [3])


def test_sums_of_no_region_are_refused():
    record = reply()
    record[ARRAYS] = to_arrays({"weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="weight"):
        read_contribution(record, "experts", [3])


WHOLE = to_packed({"0/n": torch.ones(3)})[PACKED].data


def _array(data: bytes, kind: str = "numpy.ndarray") -> Array:
    return Array("float32", (1,), kind, data)


@pytest.mark.parametrize(
    "array",
    [
        Array(np.array(["words"])),
        _array(Array(np.ones(3, dtype=np.float32)).data[:-3]),
        _array(b""),
        _array(b"nonsense"),
        _array(pickle.dumps([1])),
        _array(Array(np.ones(1, dtype=np.float32)).data, "pickle"),
        _array(Array(np.ones(3, dtype=np.float32)).data.replace(b"(3,), }          ", b"(99999999999,), }")),
        *(
            Array("uint8", (len(data),), PACKED, data)
            for data in (b"", b"nonsense", WHOLE[:-1], WHOLE.replace(b"0 0/n", b"0-0/n"))
        ),
    ],
)
def test_arrays_that_cannot_be_read_are_refused(array):
    record = reply()
    record[ARRAYS] = ArrayRecord({"0/n": array})
    with pytest.raises(ValueError, match="arrays that cannot be read"):
        read_contribution(record, "experts", [3])


def test_an_unknown_phase_is_refused():
    record = Order("prior", 0).to_record()
    record.config_records[CONFIG]["phase"] = "dessert"
    with pytest.raises(ValueError, match="dessert"):
        Order.from_record(record)


def test_arrays_of_numpy_s_own_kind_are_kept():
    assert np.asarray(to_arrays({"x": torch.arange(3)})["x"].numpy()).dtype == np.int64
