import numpy as np
import torch

from dialogue_ser.nn.transfer import send


def test_arrays_are_flattened_and_copied_together_in_their_order() -> None:
    sent = send([np.array([[1, 2], [3, 4]]), np.array([], dtype=np.int64), np.array([5])], torch.device("cpu"))
    assert [tensor.tolist() for tensor in sent] == [[1, 2, 3, 4], [], [5]]
    assert {tensor.dtype for tensor in sent} == {torch.int64}
    assert len({tensor.untyped_storage().data_ptr() for tensor in sent}) == 1
    assert send([np.array([7])], torch.device("meta"))[0].device.type == "meta"
