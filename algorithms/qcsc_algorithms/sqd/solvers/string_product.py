"""The Hamiltonian, and S^2, times a vector over all pairs of an alpha and a beta string.

A vector is float64 (beta strings, alpha strings). Each sum has one order, whatever the threads: a
thread writes rows of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from qcsc_algorithms.sqd.solvers.compiling import compiled
from qcsc_algorithms.sqd.solvers.string_tables import Counts, Floats, Moves, Rows, StringTables

WIDTH = 8  # numbers that are multiplied at a time: what fits the registers of any processor


def _generate_sum_of_rows(
    _: Any, values: Any, moves: Any, columns: Any, rows: Any, sums: Any, start: Any, stop: Any
) -> Any:
    """sums = sum of values[moves[t]] * rows[columns[t]] over t in start..stop, WIDTH at a time.

    Two sums, of every other term, are made side by side: one would wait for its additions. numba
    does not keep them in registers by itself.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointers = [
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(signature.args[:5], arguments[:5], strict=True)
        ]
        terms = _Terms(builder, *pointers[:4])
        zero = ir.Constant(VECTOR, [0.0] * WIDTH)
        at, sums = _loop(builder, terms, arguments[5], arguments[6], [zero, zero])
        _, sums = _loop(builder, terms, at, arguments[6], [builder.fadd(*sums)])
        builder.store(sums[0], builder.bitcast(pointers[4], VECTOR.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(values, moves, columns, rows, sums, start, stop), generate


VECTOR, INTEGER = ir.VectorType(ir.DoubleType(), WIDTH), ir.IntType(64)


class _Terms:
    """Instructions for one term of the sum."""

    def __init__(self, builder: Any, values: Any, moves: Any, columns: Any, rows: Any) -> None:
        self._builder, self._values, self._rows = builder, values, rows
        self._moves, self._columns = moves, columns

    def at(self, position: Any) -> Any:
        """Those of the term there."""
        builder = self._builder
        value = builder.load(builder.gep(self._values, [self._integer(self._moves, position)]))
        offset = builder.mul(self._integer(self._columns, position), INTEGER(WIDTH))
        row = builder.bitcast(builder.gep(self._rows, [offset]), VECTOR.as_pointer())
        some = ir.Constant(VECTOR, ir.Undefined)
        first = builder.insert_element(some, value, ir.IntType(32)(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
        return builder.fmul(builder.shuffle_vector(first, some, lanes), builder.load(row, align=8))

    def _integer(self, array: Any, position: Any) -> Any:
        return self._builder.sext(self._builder.load(self._builder.gep(array, [position])), INTEGER)


def _loop(builder: Any, terms: _Terms, start: Any, stop: Any, sums: list[Any]) -> Any:
    """Instructions that add as many terms at a time as there are sums; where they end, the sums."""
    before, step = builder.block, len(sums)
    head, body, after = (builder.append_basic_block(name) for name in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    at, running = builder.phi(INTEGER), [builder.phi(VECTOR) for _ in sums]
    at.add_incoming(start, before)
    for phi, value in zip(running, sums, strict=True):
        phi.add_incoming(value, before)
    last = builder.add(at, INTEGER(step - 1))
    builder.cbranch(builder.icmp_signed("<", last, stop), body, after)
    builder.position_at_end(body)
    for i, phi in enumerate(running):
        term = terms.at(builder.add(at, INTEGER(i)))
        phi.add_incoming(builder.fadd(phi, term), body)
    at.add_incoming(builder.add(at, INTEGER(step)), body)
    builder.branch(head)
    builder.position_at_end(after)
    return at, running


_sum_rows: Any = intrinsic(_generate_sum_of_rows)


@compiled
def add_same_spin(
    vector: Floats,
    image: Floats,
    singles: Rows,
    doubles: Rows,
    field: Floats,
    first: int,
    last: int,
) -> None:
    """Adds what moves electrons of the rows' spin alone, to rows `first` to `last` of the image.

    Args:
        field: float64 (pairs of the rows' spin, strings of the other), in which they move.
    """
    width = vector.shape[1]
    for row in range(first, last):
        for t in range(doubles.first[row], doubles.first[row + 1]):
            value, source = doubles.value[t], doubles.column[t]
            for k in range(width):
                image[row, k] += value * vector[source, k]
        for t in range(singles.first[row], singles.first[row + 1]):
            value, source, move = singles.value[t], singles.column[t], singles.move[t]
            pair, sign = move // 2, 1.0 - 2.0 * (move % 2)
            for k in range(width):
                image[row, k] += (value + sign * field[pair, k]) * vector[source, k]


@compiled
def add_opposite_spins(
    vector: Floats,
    image: Floats,
    moves: Moves,
    singles: Rows,
    pairs: tuple[Counts, Counts],
    two_body: Floats,
    first: int,
    last: int,
    half: bool,
) -> None:
    """Adds what moves an electron of each spin, to rows `first` to `last` of the image.

    For each pair of orbitals, the columns that it moves are gathered, WIDTH at a time; to those
    all moves of the rows' spin are applied at once.

    Args:
        pairs: of the columns' spin and of the rows'.
        half: only columns from the row's number on are needed.
    """
    height = vector.shape[0]
    gathered, sums = np.zeros((height, WIDTH)), np.empty(WIDTH)
    values = np.empty(2 * len(pairs[1]))
    for pair in range(len(pairs[0])):
        own = pairs[0][pair]
        for number in range(len(pairs[1])):
            high, low = max(own, pairs[1][number]), min(own, pairs[1][number])
            integral = two_body[high * (high + 1) // 2 + low]
            values[2 * number], values[2 * number + 1] = integral, -integral
        for start in range(moves.first[pair], moves.first[pair + 1], WIDTH):
            width = min(WIDTH, moves.first[pair + 1] - start)
            for row in range(height):
                for k in range(width):
                    gathered[row, k] = moves.sign[start + k] * vector[row, moves.source[start + k]]
                for k in range(width, WIDTH):
                    gathered[row, k] = 0.0
            end = min(last, moves.to[start + width - 1] + 1) if half else last
            for row in range(first, end):
                _sum_rows(
                    values,
                    singles.move,
                    singles.column,
                    gathered,
                    sums,
                    singles.first[row],
                    singles.first[row + 1],
                )
                for k in range(width):
                    image[row, moves.to[start + k]] += sums[k]


@compiled
def multiply_diagonal(diagonal: Floats, vector: Floats, image: Floats) -> None:
    """image = diagonal * vector."""
    for row in range(vector.shape[0]):
        for k in range(vector.shape[1]):
            image[row, k] = diagonal[row, k] * vector[row, k]


@compiled
def mirror(half: Floats, image: Floats, sign: float) -> None:
    """Adds `half` and, with the sign, its transpose to the image, of which the upper half counts."""
    for row in range(len(image)):
        for k in range(row, len(image)):
            value = image[row, k] + (half[row, k] + sign * half[k, row])
            image[row, k] = value
            image[k, row] = sign * value
        if sign < 0:
            image[row, row] = 0.0


@compiled
def add_transposed(other: Floats, image: Floats) -> None:
    """image += other, transposed."""
    for row in range(image.shape[0]):
        for k in range(image.shape[1]):
            image[row, k] += other[k, row]


@compiled
def determinant_energies(alpha: StringTables, beta: StringTables, repulsion: Floats) -> Floats:
    """The Hamiltonian's diagonal, float64 (beta strings, alpha strings).

    Args:
        repulsion: float64 (norb, beta strings), of an alpha electron in an orbital.
    """
    energies = np.empty((len(beta.diagonal), len(alpha.diagonal)))
    norb = alpha.occupied.shape[1]
    for row in range(energies.shape[0]):
        for k in range(energies.shape[1]):
            energy = beta.diagonal[row] + alpha.diagonal[k]
            for p in range(norb):
                if alpha.occupied[k, p]:
                    energy += repulsion[p, row]
            energies[row, k] = energy
    return energies


@compiled
def multiply_spin_diagonal(
    vector: Floats,
    image: Floats,
    alpha: StringTables,
    beta: StringTables,
    constant: float,
) -> None:
    """image = the part of S^2 times the vector that moves no electron.

    Args:
        constant: Sz (Sz + 1) and the number of beta electrons.
    """
    for row in range(vector.shape[0]):
        for k in range(vector.shape[1]):
            shared = 0
            for p in range(alpha.occupied.shape[1]):
                shared += alpha.occupied[k, p] & beta.occupied[row, p]
            image[row, k] = (constant - shared) * vector[row, k]


@compiled
def exchange_spins(vector: Floats, image: Floats, alpha: StringTables, beta: StringTables) -> None:
    """Adds to the image what S^2 has beside its diagonal: two orbitals' electrons are exchanged."""
    a, b = alpha.moves, beta.moves
    other = 0
    for pair in range(len(alpha.pairs)):
        while other < len(beta.pairs) and beta.pairs[other] < alpha.pairs[pair]:
            other += 1
        if other == len(beta.pairs):
            break
        if beta.pairs[other] != alpha.pairs[pair]:
            continue
        for t in range(b.first[other], b.first[other + 1]):
            for k in range(a.first[pair], a.first[pair + 1]):
                if a.upward[k] != b.upward[t]:
                    sign = b.sign[t] * a.sign[k]
                    image[b.to[t], a.to[k]] -= sign * vector[b.source[t], a.source[k]]
