"""Arithmetic: the number formats of a machine, as data, so that the next machine is data too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Register:
    """A signed number of `bits` bits, and what happens to a value that does not fit: it saturates, wraps, or is refused at birth.

    symmetric: the lowest number is not used, -high is the lowest (one that wraps then comes back one higher: -high..high + 1).
    """

    bits: int
    overflow: Literal["saturate", "wrap", "refuse"]
    symmetric: bool = False

    @property
    def low(self) -> int:
        return -(2 ** (self.bits - 1)) + self.symmetric

    @property
    def high(self) -> int:
        return 2 ** (self.bits - 1) - 1


@dataclass(frozen=True)
class LeakGrid:
    """The leaks a machine has: keep / 2^S for each S in `bits`; with `power_of_two`, 1 - keep / 2^S is a power of two or 0 or 1.

    rounding: of v keep / 2^S to an integer: to nearest (ties toward +infinity), down (floor), or toward zero.
    """

    bits: tuple[int, ...]
    rounding: Literal["nearest", "floor", "zero"]
    power_of_two: bool = False


@dataclass(frozen=True)
class Arithmetic:
    """The number formats of a machine.

    accumulator: bounds the sum of weights times inputs, its shift and the bias; no partial sum, in any order, leaves it.
    mixed_step: a synapse with weights of both signs holds only multiples of it.
    shifts: the least and the greatest shift of a connection; None: any.
    bias: mantissa bits with sign, greatest exponent: a bias is mantissa 2^exponent; None: any integer.
    bias_step: with `bias`, the least step between biases, a power of two.
    threshold_step: a threshold is a multiple of it. one_threshold: they are positive, and a layer that resets to zero has one.
    seen_input: input is bounded by what calibration saw, so that weights may be larger.
    spiking_readout: a readout is a neuron at the largest threshold, so its sums are kept too small to get there.
    membrane_bias: a layer's bias may skip the current and add to the membrane.
    """

    name: str
    weights: Register
    input: Register
    accumulator: Register
    current: Register
    membrane: Register
    leak: LeakGrid
    threshold_max: int
    mixed_step: int = 1
    shifts: tuple[int, int] | None = None
    bias: tuple[int, int] | None = None
    bias_step: int = 1
    threshold_step: int = 1
    one_threshold: bool = False
    seen_input: bool = False
    spiking_readout: bool = False
    membrane_bias: bool = False

    @property
    def bias_max(self) -> int:
        """The largest bias, before the accumulator's limit."""
        return self.accumulator.high if self.bias is None else (2 ** (self.bias[0] - 1) - 1) * 2 ** self.bias[1]

    @property
    def state_bits(self) -> int:
        """Bits that a state times a leak can need: above 30, int32 is too narrow for them."""
        return max(self.current.bits, self.membrane.bits) + max(self.leak.bits)


# Everything stays within 2^24, where float32 is exact; int16 states and int8 weights are what microcontrollers multiply fastest
# (design.md 5; measured in facts/mcu.md 2.3). Inputs are symmetric: -128 is never sent.
MCU16 = Arithmetic(
    name="mcu16",
    weights=Register(8, "saturate"),
    input=Register(8, "refuse"),
    accumulator=Register(25, "refuse"),
    current=Register(16, "saturate"),
    membrane=Register(16, "saturate"),
    leak=LeakGrid((8, 12), "nearest"),
    threshold_max=2**14,
)


# A Loihi neuron as lava-nc 0.10.0 computes it in fixed point (lava/proc/lif/models.py, lava/proc/dense/models.py,
# lava/utils/weightutils.py). Its 6 bits of alignment are part of every number here: a shift is 6 + weight_exp, a threshold vth 2^6.
LOIHI2 = Arithmetic(
    name="loihi2",
    weights=Register(9, "saturate"),  # 8 bits and a sign; of both signs, only even ones
    input=Register(8, "refuse"),
    accumulator=Register(24, "refuse"),
    current=Register(24, "wrap", symmetric=True),
    membrane=Register(24, "saturate", symmetric=True),
    leak=LeakGrid((12,), "zero"),
    threshold_max=(2**17 - 1) * 2**6,
    mixed_step=2,
    shifts=(6, 13),
    bias=(13, 7),
    threshold_step=2**6,
    one_threshold=True,
    seen_input=True,
    spiking_readout=True,
    membrane_bias=True,
)

# What lava-dl's .net files can say of it: no weight exponents, biases in units of the weights (lava-dl 0.6.0, lava/lib/dl/netx/hdf5.py).
NETX = replace(LOIHI2, name="loihi2-netx", shifts=(6, 6), bias=(13, 6), bias_step=2**6)
