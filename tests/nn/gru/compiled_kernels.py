"""The kernels compile to machine code for GPUs. No GPU is needed for this.

``test_kernels.py`` runs this file in a separate process. The interpreter accepts code that the compiler refuses, so the
tests in the interpreter do not show that a kernel compiles.
"""

import pytest
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from dialogue_ser.nn.gru import kernels


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("precision", ["fp32", "fp64"])
@pytest.mark.parametrize("has_mask", [True, False])
@pytest.mark.parametrize("kernel", [kernels._advance, kernels._slopes], ids=["advance", "slopes"])
def test_a_kernel_becomes_machine_code(kernel, has_mask: bool, precision: str, capability: int) -> None:
    fixed = {"size": 150, "has_mask": has_mask, "block": kernels._block(150)}
    pointers = dict.fromkeys(kernels._POINTERS, f"*{precision}")
    signature = {name: pointers.get(name, "constexpr" if name in fixed else "i64") for name in kernel.arg_names}
    constants = {(kernel.arg_names.index(name),): value for name, value in fixed.items()}
    kernel_source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    compiled = triton.compile(kernel_source, target=GPUTarget("cuda", capability, 32))
    assert f".target sm_{capability}" in compiled.asm["ptx"]
    assert len(compiled.asm["cubin"]) > 0
