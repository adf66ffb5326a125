import torch

from dialogue_ser.nn.frames.token_rows import ForwardPass, JoinedRows, cut_evenly, group_by_length

LENGTHS = torch.tensor([[3, 0, 2, 4], [1, 5, 0, 0], [0, 0, 0, 0]])


def packed(lengths=LENGTHS):
    """Row m has the ids 10·m, 10·m + 1, …; all but the first are its own tokens. Padding has other numbers."""
    values = torch.full((lengths.numel(), 6), -7)
    for m, n in enumerate(lengths.flatten().tolist()):
        for position in range(n):
            values[m, position] = 2 * (10 * m + position) + (position > 0)
    return values


def test_rows_of_similar_length_share_a_forward_pass_up_to_the_limit_of_tokens():
    lengths = [5, 100, 6, 98, 30, 5]
    order, ends = group_by_length(lengths)
    groups = [[lengths[row] for row in order[start:stop]] for start, stop in zip([0, *ends], ends, strict=False)]
    assert groups == [[100, 98], [30], [6], [5, 5]]
    assert sorted(order) == list(range(6))
    assert group_by_length([50] * 10, most_tokens=200)[1] == [4, 8, 10]
    assert group_by_length([500, 500], most_tokens=200)[1] == [1, 2]


def test_a_batch_of_utterances_hardly_computes_padding():
    lengths = torch.randint(3, 40, (300,), generator=torch.Generator().manual_seed(0)).tolist()
    order, ends = group_by_length(lengths)
    starts = [0, *ends[:-1]]
    computed = sum((stop - start) * lengths[order[start]] for start, stop in zip(starts, ends, strict=True))
    assert sum(lengths) / computed > 0.93
    assert len(ends) < 20


def test_padding_is_neither_a_token_nor_an_own_token():
    is_token = torch.tensor([[True, True], [True, False]])
    one_pass = ForwardPass.of(torch.tensor([[9, 4], [7, 11]]), is_token, padding_id=5)
    assert one_pass.ids_NL.tolist() == [[4, 2], [3, 5]]
    assert one_pass.is_own_NL.tolist() == [[True, False], [True, False]]


def test_the_turns_of_a_dialogue_are_joined_to_one_sequence():
    passes = JoinedRows(LENGTHS, most_tokens=100).passes(packed(), padding_id=99)
    sequences = [row[row != 99].tolist() for one_pass in passes for row in one_pass.ids_NL]
    assert sequences == [[0, 1, 2, 20, 21, 30, 31, 32, 33], [40, 50, 51, 52, 53, 54]]


def test_long_dialogues_are_cut_between_turns():
    passes = JoinedRows(LENGTHS, most_tokens=6).passes(packed(), padding_id=99)
    sequences = [row[row != 99].tolist() for one_pass in passes for row in one_pass.ids_NL]
    assert sorted(sequences) == [[0, 1, 2, 20, 21], [30, 31, 32, 33], [40, 50, 51, 52, 53, 54]]
    assert cut_evenly([(0, 9), (1, 1)], 5) == [[(0, 9)], [(1, 1)]], "a row is never cut"
    assert cut_evenly([(0, 2)], 5) == [[(0, 2)]]


def test_a_row_is_pooled_over_its_own_tokens_only():
    values = packed()
    for most_tokens in (6, 100):
        joined = JoinedRows(LENGTHS, most_tokens)
        passes = joined.passes(values, padding_id=99)
        x_VD = torch.cat([one_pass.ids_NL.flatten() for one_pass in passes])[:, None].double()
        mean = joined.pool(x_VD, passes, first_only=False)[:, 0]
        first = joined.pool(x_VD, passes, first_only=True)[:, 0]
        for m, n in enumerate(LENGTHS.flatten().tolist()):
            own = [10 * m + position for position in range(1, n)]
            assert mean[m] == (sum(own) / len(own) if own else 0)
            assert first[m] == (10 * m if n else 0)
