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

WIDTH = 16  # numbers that are multiplied at a time: what fits the registers of any processor
LINE = 8  # numbers in a line of the cache
BLOCK = 512  # columns at a time: what is read of them again stays in the cache
NARROW = 32  # columns at a time where both a matrix and its transpose are touched


def _generate_sums(width: int, *, by_move: bool) -> Any:
    """Instructions for sums = sum of values[moves[t]] * rows[columns[t]] over t in start..stop.

    Two sums are made side by side, of every other term: one would wait for its additions. numba
    does not keep them in registers by itself. A product is added with one rounding, which is the same
    everywhere; `rows` have WIDTH numbers each, of which the first `width` are meant. There is at least
    one term in all, if not between start and stop.

    Args:
        by_move: else values[t] is meant.
    """

    def sum_rows(
        _: Any, values: Any, moves: Any, columns: Any, rows: Any, sums: Any, start: Any, stop: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointers = [
                context.make_array(kind)(context, builder, value).data
                for kind, value in zip(signature.args[:5], arguments[:5], strict=True)
            ]
            if not by_move:
                pointers[1] = None
            term = _Term(builder, ir.VectorType(ir.DoubleType(), width), *pointers[:4])
            at, pair = _loop(builder, term, arguments[5], arguments[6])
            total = term.add_last(at, arguments[6], builder.fadd(*pair))
            builder.store(total, builder.bitcast(pointers[4], term.vector.as_pointer()), align=8)
            return context.get_dummy_value()

        return types.void(values, moves, columns, rows, sums, start, stop), generate

    return intrinsic(sum_rows)


INTEGER = ir.IntType(64)
EIGHT = ir.VectorType(ir.DoubleType(), LINE)


class _Term:
    """Instructions that add one term to a sum."""

    def __init__(
        self, builder: Any, vector: Any, values: Any, moves: Any, columns: Any, rows: Any
    ) -> None:
        self._builder, self.vector, self._values, self._rows = builder, vector, values, rows
        self._moves, self._columns = moves, columns
        kind = ir.FunctionType(vector, [vector] * 3)
        name = f"llvm.fma.v{vector.count}f64"
        module: Any = builder.module
        self._fma = module.globals.get(name) or ir.Function(module, kind, name)

    def add_last(self, at: Any, stop: Any, total: Any) -> Any:
        """That of the one term before `stop`, if it is still to be added; else nothing of one.

        There is no branch: which it is cannot be foreseen, and a wrong guess takes longer than a term.
        """
        builder, one = self._builder, INTEGER(1)
        is_left = builder.uitofp(builder.sub(stop, at), ir.DoubleType())
        last = builder.sub(stop, one)
        exists = builder.icmp_signed(">=", last, INTEGER(0))
        return self.add(builder.select(exists, last, INTEGER(0)), total, is_left)

    def add(self, position: Any, total: Any, share: Any = None) -> Any:
        """That of the term there, or so much of it."""
        builder = self._builder
        which = position if self._moves is None else self._integer(self._moves, position)
        value = builder.load(builder.gep(self._values, [which]))
        if share is not None:
            value = builder.fmul(value, share)
        offset = builder.mul(self._integer(self._columns, position), INTEGER(WIDTH))
        row = builder.bitcast(builder.gep(self._rows, [offset]), self.vector.as_pointer())
        each = _splat(builder, value, self.vector)
        return builder.call(self._fma, [each, builder.load(row, align=8), total])

    def _integer(self, array: Any, position: Any) -> Any:
        return self._builder.sext(self._builder.load(self._builder.gep(array, [position])), INTEGER)


def _splat(builder: Any, value: Any, vector: Any) -> Any:
    """Instructions for a vector of equal numbers."""
    some = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(some, value, ir.IntType(32)(0))
    return _shuffle(builder, first, some, [0] * vector.count)


def _shuffle(builder: Any, one: Any, other: Any, lanes: list[int]) -> Any:
    kind = ir.VectorType(ir.IntType(32), len(lanes))
    return builder.shuffle_vector(one, other, ir.Constant(kind, lanes))


def _loop(builder: Any, term: _Term, start: Any, stop: Any) -> Any:
    """Instructions that add two terms at a time; where they end, and the two sums."""
    before = builder.block
    head, body, after = (builder.append_basic_block(name) for name in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    at, sums = builder.phi(INTEGER), [builder.phi(term.vector) for _ in range(2)]
    at.add_incoming(start, before)
    for phi in sums:
        phi.add_incoming(ir.Constant(term.vector, [0.0] * term.vector.count), before)
    second = builder.add(at, INTEGER(1))
    builder.cbranch(builder.icmp_signed("<", second, stop), body, after)
    builder.position_at_end(body)
    for phi, position in zip(sums, (at, second), strict=True):
        phi.add_incoming(term.add(position, phi), body)
    at.add_incoming(builder.add(at, INTEGER(2)), body)
    builder.branch(head)
    builder.position_at_end(after)
    return at, sums


_sum_rows: Any = _generate_sums(WIDTH, by_move=True)
_sum_short_rows: Any = _generate_sums(WIDTH // 2, by_move=True)  # the same, half as many
_sum_valued_rows: Any = _generate_sums(WIDTH, by_move=False)


@compiled
def _rows_of_zeros(count: int) -> Floats:
    """float64 (count, WIDTH), each row from the beginning of a line of the cache.

    A register's worth that lies in two lines is loaded twice.
    """
    room = np.zeros(count * WIDTH + LINE)
    start = -(room.ctypes.data // 8) % LINE
    return room[start : start + count * WIDTH].reshape((count, WIDTH))


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
    panel, sums = _rows_of_zeros(len(vector)), _rows_of_zeros(1)[0]
    for start in range(0, width if len(doubles.column) else 0, WIDTH):
        some = panel[:, : min(WIDTH, width - start)]
        some[:] = vector[:, start : start + WIDTH]
        for row in range(first, last):
            where = doubles.first[row], doubles.first[row + 1]
            _sum_valued_rows(doubles.value, doubles.column, doubles.column, panel, sums, *where)
            target = image[row, start : start + WIDTH]
            for k in range(len(target)):
                target[k] += sums[k]
    for start in range(0, width, BLOCK):
        stop = min(width, start + BLOCK)
        for row in range(first, last):
            target = image[row, start:stop]
            for t in range(singles.first[row], singles.first[row + 1]):
                value, source = singles.value[t], vector[singles.column[t], start:stop]
                met, sign = (
                    field[singles.move[t] // 2, start:stop],
                    1.0 - 2.0 * (singles.move[t] % 2),
                )
                for k in range(len(target)):
                    target[k] += (value + sign * met[k]) * source[k]


@compiled
def add_opposite_spins(
    vector: Floats,
    image: Floats,
    moves: Moves,
    singles: Rows,
    pairs: tuple[Counts, Counts],
    two_body: Floats,
    half: bool,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> None:
    """Adds what moves an electron of each spin, to these rows and columns of the image.

    For each pair of orbitals, the rows that it moves are gathered, WIDTH at a time, side by side; to
    those all moves of the columns' spin are applied at once.

    Args:
        moves, singles: of the rows' spin, and of the columns'.
        pairs: the same.
        two_body: packed, or where the spins' orbitals differ float64 (pairs of the rows' spin, pairs
            of the columns').
        half: only columns up to the row's number are needed.
        rows, columns: the first, and the one after the last.
    """
    first, last = rows
    if len(singles.column) == 0:
        return
    if half:
        first = max(first, columns[0])
    gathered, sums = _rows_of_zeros(vector.shape[1]), _rows_of_zeros(vector.shape[1])
    values = np.empty(2 * len(pairs[1]))
    for pair in range(len(pairs[0])):
        _look_up(two_body, pairs[0][pair], pairs[1], values)
        begin, end = moves.first[pair], moves.first[pair + 1]
        while begin < end and moves.to[begin] < first:
            begin += 1
        while begin < end and moves.to[end - 1] >= last:
            end -= 1
        for move in range(begin, end, WIDTH):
            width = min(WIDTH, end - move)
            _gather(vector, moves, move, width, gathered)
            below = min(columns[1], moves.to[move + width - 1] + 1) if half else columns[1]
            for column in range(columns[0], below):
                where = singles.first[column], singles.first[column + 1]
                total = sums[column]
                if width > WIDTH // 2:
                    _sum_rows(values, singles.move, singles.column, gathered, total, *where)
                else:
                    _sum_short_rows(values, singles.move, singles.column, gathered, total, *where)
            _scatter(sums, moves, move, width, half, columns[0], below, image)


@compiled
def _look_up(two_body: Floats, own: int, pairs: Counts, values: Floats) -> None:
    """Writes (own|pair) for each pair, and less it, as `Rows.move` counts them."""
    for number in range(len(pairs)):
        high, low = max(own, pairs[number]), min(own, pairs[number])
        if two_body.ndim == 2:  # decided when it is compiled
            integral = two_body[own, pairs[number]]
        else:
            integral = two_body[high * (high + 1) // 2 + low]
        values[2 * number], values[2 * number + 1] = integral, -integral


def _generate_turning() -> Any:
    """Instructions for panel[column + c, lane + k] = signs[k] * vector[sources[k], column + c].

    For LINE of c and as many of k, from `first` on: eight loads, 24 shuffles, eight stores, where one
    number after the other would be loaded and stored.
    """

    def turn(
        _: Any,
        vector: Any,
        sources: Any,
        signs: Any,
        panel: Any,
        first: Any,
        column: Any,
        lane: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            block = _Block(context, builder, signature, arguments)
            rows = [
                builder.fmul(
                    builder.load(pointer, align=8), _splat(builder, builder.load(sign), EIGHT)
                )
                for pointer, sign in zip(block.rows(0, 1), block.each(2), strict=True)
            ]
            for pointer, turned in zip(block.of_panel(3), block.turned(rows), strict=True):
                builder.store(turned, pointer, align=8)
            return context.get_dummy_value()

        return types.void(vector, sources, signs, panel, first, column, lane), generate

    return intrinsic(turn)


def _generate_adding_back() -> Any:
    """Instructions for image[targets[k], column + c] += panel[column + c, lane + k]."""

    def add_back(
        _: Any, image: Any, targets: Any, panel: Any, first: Any, column: Any, lane: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            block = _Block(context, builder, signature, arguments)
            sums = [builder.load(pointer, align=8) for pointer in block.of_panel(2)]
            for pointer, turned in zip(block.rows(0, 1), block.turned(sums), strict=True):
                added = builder.fadd(builder.load(pointer, align=8), turned)
                builder.store(added, pointer, align=8)
            return context.get_dummy_value()

        return types.void(image, targets, panel, first, column, lane), generate

    return intrinsic(add_back)


class _Block:
    """Instructions on LINE rows of a matrix and as many of a panel; the last arguments say where."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self._builder = builder
        *arrays, self._first, self._column, self._lane = arguments
        assert all(kind.layout == "C" for kind in signature.args[: len(arrays)])
        self._arrays = [
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args, arrays, strict=False)
        ]

    def each(self, array: int) -> list[Any]:
        """Where LINE elements are, from the first on."""
        places = [self._builder.add(self._first, INTEGER(k)) for k in range(LINE)]
        return [self._builder.gep(self._arrays[array].data, [place]) for place in places]

    def rows(self, matrix: int, numbers: int) -> list[Any]:
        """Where those rows of a matrix begin, at the column."""
        width = self._builder.extract_value(self._arrays[matrix].shape, 1)
        return [
            self._at(matrix, self._builder.sext(self._builder.load(each), INTEGER), width)
            for each in self.each(numbers)
        ]

    def of_panel(self, panel: int) -> list[Any]:
        """Where the panel's rows begin, at the lane."""
        places = [self._builder.add(self._column, INTEGER(c)) for c in range(LINE)]
        return [self._at(panel, place, INTEGER(WIDTH), self._lane) for place in places]

    def _at(self, matrix: int, row: Any, width: Any, column: Any = None) -> Any:
        builder = self._builder
        offset = builder.add(builder.mul(row, width), self._column if column is None else column)
        pointer = builder.gep(self._arrays[matrix].data, [offset])
        return builder.bitcast(pointer, EIGHT.as_pointer())

    def turned(self, rows: list[Any]) -> list[Any]:
        """The transpose: pairs are made of neighbours, fours of pairs, and eights of fours."""
        for size in (1, 2, 4):
            low = [LINE + k - size if k & size else k for k in range(LINE)]
            high = [LINE + k if k & size else k + size for k in range(LINE)]
            turned = list(rows)
            for i in (i for i in range(LINE) if not i & size):
                pair = rows[i], rows[i + size]
                turned[i] = _shuffle(self._builder, *pair, low)
                turned[i + size] = _shuffle(self._builder, *pair, high)
            rows = turned
        return rows


_turn: Any = _generate_turning()
_add_back: Any = _generate_adding_back()


@compiled
def _gather(vector: Floats, moves: Moves, move: int, width: int, gathered: Floats) -> None:
    """Writes the rows from which so many moves come, with their signs, side by side."""
    turned, whole = width // LINE * LINE, len(gathered) // LINE * LINE
    for lane in range(0, turned, LINE):
        for column in range(0, whole, LINE):
            _turn(vector, moves.source, moves.sign, gathered, move + lane, column, lane)
    for start in range(0, len(gathered), NARROW):
        some = gathered[start : start + NARROW]
        for k in range(width):
            sign, source = moves.sign[move + k], vector[moves.source[move + k], start:]
            for column in range(max(0, whole - start) if k < turned else 0, len(some)):
                some[column, k] = sign * source[column]
        for k in range(width, WIDTH):
            some[:, k] = 0.0


@compiled
def _scatter(
    sums: Floats,
    moves: Moves,
    move: int,
    width: int,
    half: bool,
    first: int,
    last: int,
    image: Floats,
) -> None:
    """Adds the sums of columns `first` to `last` to the rows to which so many moves lead."""
    turned = width // LINE * LINE
    end = min(last, moves.to[move] + 1) if half else last  # `to` ascends: to there all rows have it
    whole = first + max(0, end - first) // LINE * LINE
    for lane in range(0, turned, LINE):
        for column in range(first, whole, LINE):
            _add_back(image, moves.to, sums, move + lane, column, lane)
    for start in range(first, last, NARROW):
        stop = min(last, start + NARROW)
        for k in range(width):
            to = moves.to[move + k]
            begin = max(start, whole) if k < turned else start
            target = image[to, begin : min(stop, to + 1) if half else stop]
            some = sums[begin:stop, k]
            for column in range(len(target)):
                target[column] += some[column]


@compiled
def multiply_diagonal(
    diagonal: Floats, vector: Floats, image: Floats, half: bool, first: int, last: int
) -> None:
    """image = diagonal * vector in rows `first` to `last`; if half, above its diagonal 0."""
    for row in range(first, last):
        stop = row + 1 if half else vector.shape[1]
        for k in range(stop):
            image[row, k] = diagonal[row, k] * vector[row, k]
        for k in range(stop, vector.shape[1]):
            image[row, k] = 0.0


@compiled
def halve_diagonal(image: Floats, first: int, last: int) -> None:
    """Of a square image, in rows `first` to `last`, what adding its transpose will double."""
    for row in range(first, last):
        image[row, row] *= 0.5


@compiled
def add_mirrored(
    half: Floats, image: Floats, sign: float, start: int, first: int, last: int
) -> None:
    """image = half and, times the sign, its transpose; in rows `first` to `last`.

    Args:
        start: the row of `half` that is the image's first one.
    """
    size = len(half)
    for column in range(0, size, NARROW):
        for row in range(first, last):
            source, turned = (
                half[row, column : column + NARROW],
                half[column : column + NARROW, row],
            )
            target = image[row - start, column : column + NARROW]
            for k in range(len(target)):
                target[k] = source[k] + sign * turned[k]


@compiled
def add_transposed(other: Floats, image: Floats, start: int, first: int, last: int) -> None:
    """image += other, transposed; in rows `first` to `last`.

    Args:
        start: the column of `other` that is the image's first row.
    """
    width = len(other)
    for column in range(0, width, NARROW):
        for row in range(first, last):
            target = image[row - start, column : column + NARROW]
            turned = other[column : column + NARROW, row]
            for k in range(len(target)):
                target[k] += turned[k]


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
def average_exchange(
    diagonal: Floats, alpha: StringTables, beta: StringTables, exchange: Floats
) -> None:
    """Makes each element the mean of those whose unpaired electrons have other spins, as many of each.

    Such determinants differ in the exchange of unpaired electrons of the same spin alone.

    Args:
        exchange: float64 (norb, norb), (pq|qp).
    """
    norb = alpha.occupied.shape[1]
    unpaired = np.empty(norb, np.int64)
    for row in range(diagonal.shape[0]):
        for k in range(diagonal.shape[1]):
            count = ups = 0
            for p in range(norb):
                if alpha.occupied[k, p] != beta.occupied[row, p]:
                    unpaired[count] = p
                    count += 1
                    ups += alpha.occupied[k, p]
            every = same = 0.0
            for i in range(count):
                for j in range(i):
                    p, q = unpaired[i], unpaired[j]
                    every += exchange[p, q]
                    if alpha.occupied[k, p] == alpha.occupied[k, q]:
                        same += exchange[p, q]
            if count > 1:
                downs = count - ups
                share = (ups * (ups - 1) + downs * (downs - 1)) / (count * (count - 1))
                diagonal[row, k] += same - share * every


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
