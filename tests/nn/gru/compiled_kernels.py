"""Kernels compiled to machine code of GPUs, which needs none: run by ``test_kernels.py`` in a process of its own.

Triton's interpreter runs the Python that the compiler never sees, so what it accepts need not compile.
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
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    assert f".target sm_{capability}" in compiled.asm["ptx"]
    assert len(compiled.asm["cubin"]) > 0
