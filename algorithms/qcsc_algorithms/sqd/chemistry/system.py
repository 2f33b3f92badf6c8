"""What is to be solved: a molecule, or integrals that somebody else has computed."""

from __future__ import annotations

import warnings
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from qcsc_algorithms.sqd.chemistry.core_potentials import (
    basis_potentials,
    require_core,
    text_potentials,
)
from qcsc_algorithms.sqd.chemistry.fcidump import read_integrals
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian, of_integrals
from qcsc_algorithms.sqd.chemistry.orbitals import (
    Window,
    hartree_fock_field,
    natural_orbitals,
    valence_window,
)
from qcsc_algorithms.sqd.chemistry.unrestricted import BetaIntegrals

ABELIAN = {"Dooh": "D2h", "SO3": "D2h", "Coov": "C2v"}  # what an FCIDUMP can label
APART = 0.01  # bohr; nuclei are never so near
WATER = "O 0 0 0.117790; H 0 0.755453 -0.471161; H 0 -0.755453 -0.471161"


class SetUp(NamedTuple):
    """The integrals, and what is to be known of the orbitals that they are over."""

    hamiltonian: Hamiltonian
    remarks: tuple[str, ...] = ()


class _System(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ActiveSpace(_System):
    """Orbitals that are treated exactly, chosen around the Fermi level.

    Attributes:
        electrons: how many are in them.
        orbitals: how many there are.
        choice: what is next to the Fermi level. "fermi": by orbital energy; "natural": what
            correlation changes most, by natural orbitals of second-order perturbation theory.
    """

    electrons: int = Field(ge=1)
    orbitals: int = Field(ge=1)
    choice: Literal["fermi", "natural"] = Field(default="fermi", description="by which orbitals")


class AVAS(_System):
    """An active space that is found by the atoms' valence orbitals.

    Attributes:
        labels: atomic orbitals, as "Fe 3d" or "N 2p".
        threshold: the least overlap with them that an active orbital has.
    """

    labels: tuple[str, ...] = Field(min_length=1, description="atomic orbitals, as 'N 2p'")
    threshold: float = Field(default=0.2, gt=0, lt=1, description="least overlap")

    @field_validator("labels")
    @classmethod
    def _name_something(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if not all(label.strip() for label in labels):
            raise ValueError(
                "a label is empty, which would be every atomic orbital; name some, as 'N 2p'"
            )
        return labels


class Molecule(_System):
    """A molecule, of which the integrals over Hartree-Fock orbitals are computed once.

    Attributes:
        geometry: atoms and coordinates, as pyscf reads them.
        frozen_core: the lowest orbitals that are left doubly occupied.
        active_space, avas: the orbitals that are treated exactly; at most one of the three.
        spin: unpaired electrons; more than 0 takes restricted open-shell orbitals.
        ecp: effective core potentials, for all atoms; empty: those that belong to the basis, if any.
        symmetry: whether orbitals are made for the molecule's point group. Without, an unstable
            Hartree-Fock determinant is left for a lower one.
        orbitals: "unrestricted": alpha and beta electrons have orbitals of their own, of
            unrestricted Hartree-Fock. native and pyscf diagonalise in them; the spin of their state
            is told, not chosen.
    """

    type: Literal["molecule"] = "molecule"
    geometry: str = Field(default=WATER, description="atoms, as 'H 0 0 0; H 0 0 0.74'")
    unit: Literal["angstrom", "bohr"] = "angstrom"
    basis: str = "6-31g"
    ecp: str | None = Field(default=None, description="core potentials; empty: the basis's own")
    charge: int = 0
    spin: int = Field(default=0, ge=0, description="unpaired electrons")
    frozen_core: int = Field(default=0, ge=0, description="doubly occupied orbitals left out")
    active_space: ActiveSpace | None = None
    avas: AVAS | None = None
    symmetry: bool = True
    orbitals: Literal["restricted", "unrestricted"] = Field(
        default="restricted", description="whether both spins have the same"
    )

    @model_validator(mode="after")
    def _one_choice(self) -> Molecule:
        chosen = [name for name in ("frozen_core", "active_space", "avas") if getattr(self, name)]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} both choose the orbitals: give one of them")
        natural = self.active_space is not None and self.active_space.choice == "natural"
        if self.orbitals == "unrestricted" and (self.avas is not None or natural):
            which = "active_space.choice = natural" if natural else "avas"
            raise ValueError(
                f"{which} makes orbitals common to both spins, and orbitals = unrestricted does not; "
                "choose them by frozen_core, or active_space around the Fermi level"
            )
        return self

    def hamiltonian(self) -> Hamiltonian:
        """Computes the integrals; as `set_up`."""
        return self.set_up().hamiltonian

    def set_up(self) -> SetUp:
        """Computes the integrals. Not the same bits with other thread counts: keep what it returns.

        Raises:
            ValueError: the molecule cannot be built, or its Hartree-Fock does not converge.
        """
        for name in ("geometry", "basis"):
            if not getattr(self, name).strip():
                raise ValueError(f"the molecule's {name} is empty")
        plain = self._built(False, charge=0, spin=None)  # whatever its electrons, to be counted
        _require_apart(plain)
        _require_electrons(self, int(plain.nelectron), int(plain.nao_nr()))
        molecule = self._built(self.symmetry, charge=self.charge, spin=self.spin)
        if molecule.groupname in ABELIAN:
            group = ABELIAN[molecule.groupname]
            molecule = self._built(group, charge=self.charge, spin=self.spin)
        require_core(molecule, self.basis, self.ecp)
        return self._active(molecule)

    def _built(self, symmetry: bool | str, *, charge: int, spin: int | None) -> Any:
        from pyscf import gto

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice for what is an error anyway
            try:
                return gto.M(
                    atom=self.geometry,
                    unit=self.unit,
                    basis=self.basis,
                    ecp=self._core_potentials(),
                    charge=charge,
                    spin=spin,
                    symmetry=symmetry,
                    verbose=0,
                )
            except Exception as error:  # pyscf raises many kinds for bad geometries and bases
                reason = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
                raise ValueError(f"pyscf cannot build the molecule ({reason})") from error

    def _core_potentials(self) -> Any:
        """By element: a basis made for them is wrong without, and nothing says so."""
        from pyscf import gto

        if self.ecp is not None and "\n" not in self.ecp:
            return self.ecp
        atoms: Any = gto.format_atom(self.geometry, unit=self.unit)
        elements = {gto.mole._std_symbol(name) for name, _ in atoms}
        if self.ecp is not None:
            return text_potentials(self.ecp, elements)
        return basis_potentials(self.basis, elements)

    def _active(self, molecule: Any) -> SetUp:
        from pyscf import ao2mo, mcscf

        if self.orbitals == "unrestricted":
            return self._active_of_each_spin(molecule)
        field, remarks = hartree_fock_field(molecule)
        every, electrons, orbitals = self._window(field)
        space: Any = mcscf.CASCI(field, orbitals, electrons)
        space.mo_coeff = every
        one_body, constant = space.get_h1eff()
        active = every[:, space.ncore : space.ncore + orbitals]
        dipole, fixed_dipole = _dipoles(field.mol, every, space.ncore, orbitals)
        found = Hamiltonian(
            norb=orbitals,
            num_alpha=int(space.nelecas[0]),
            num_beta=int(space.nelecas[1]),
            constant=float(constant),
            one_body=(one_body + one_body.T) / 2,
            two_body=ao2mo.restore(8, space.get_h2eff(), orbitals),
            orbital_symmetry=_labels(field.mol, active),
            dipole_integrals=dipole,
            fixed_dipole=fixed_dipole,
        )
        # AVAS sorts filled and empty orbitals by their overlap, which need not be their energy
        return SetUp(found.with_lowest_determinant_first() if self.avas else found, remarks)

    def _active_of_each_spin(self, molecule: Any) -> SetUp:
        from pyscf import ao2mo, mcscf

        field, remarks = hartree_fock_field(molecule, unrestricted=True)
        electrons, orbitals = self._active_size(field.mol.nelectron, field.mo_coeff[0].shape[1])
        core = (field.mol.nelectron - electrons) // 2
        space: Any = mcscf.UCASCI(field, orbitals, electrons, ncore=(core, core))
        one_body, constant = space.get_h1eff()
        two_body, mixed, beta = (ao2mo.restore(4, part, orbitals) for part in space.get_h2eff())
        end = core + orbitals
        alpha_orbitals, beta_orbitals = (np.asarray(spin)[:, :end] for spin in field.mo_coeff)
        first, second = ((matrix + matrix.T) / 2 for matrix in one_body)
        found = Hamiltonian(
            norb=orbitals,
            num_alpha=int(space.nelecas[0]),
            num_beta=int(space.nelecas[1]),
            constant=float(constant),
            one_body=first,
            two_body=ao2mo.restore(8, two_body, orbitals),
            beta=BetaIntegrals(
                one_body=second,
                two_body=ao2mo.restore(8, beta, orbitals),
                mixed=mixed,
                overlap=alpha_orbitals.T @ field.get_ovlp() @ beta_orbitals,
            ),
        )
        return SetUp(found, remarks)

    def _active_size(self, total: int, count: int) -> tuple[int, int]:
        """How many electrons in how many of the orbitals, around the Fermi level."""
        chosen = self.active_space
        if chosen is None:
            _require_filled(self, total)
            active, orbitals = total - 2 * self.frozen_core, count - self.frozen_core
        else:
            active, orbitals = chosen.electrons, chosen.orbitals
        self._counted(total, count, active, orbitals)
        return active, orbitals

    def _window(self, field: Any) -> Window:
        """Which orbitals are active."""
        total, count = field.mol.nelectron, field.mo_coeff.shape[1]
        if self.avas is not None:
            window = valence_window(field, self.avas.labels, self.avas.threshold)
            self._counted(total, count, window.electrons, window.orbitals)
            return window
        active, orbitals = self._active_size(total, count)
        chosen = self.active_space
        natural = chosen is not None and chosen.choice == "natural"
        every = natural_orbitals(field) if natural else np.asarray(field.mo_coeff)
        return Window(every, active, orbitals)

    def _counted(self, electrons: int, orbitals: int, active: int, window: int) -> None:
        """Refuses a window that the molecule does not have."""
        core = (electrons - active) // 2
        beta, alpha = (active - self.spin) // 2, (active + self.spin) // 2
        if (electrons - active) % 2 or core < 0 or beta < 0 or alpha > window:
            raise ValueError(
                f"{active} electrons, {self.spin} of them unpaired, in {window} orbitals do not "
                f"make an active space of a molecule with {electrons} electrons"
            )
        if core + window > orbitals:
            raise ValueError(
                f"{core} core and {window} active orbitals are more than the basis has: {orbitals}"
            )


def _require_apart(molecule: Any) -> None:
    """Refuses atoms that coincide."""
    nuclei = [atom for atom in range(molecule.natm) if molecule.atom_charge(atom)]
    places = molecule.atom_coords()
    for one, other in combinations(nuclei, 2):
        if np.linalg.norm(places[one] - places[other]) < APART:
            first, second = (f"{atom + 1} ({molecule.atom_symbol(atom)})" for atom in (one, other))
            raise ValueError(f"atoms {first} and {second} are in one place; move one of them")


def _require_electrons(molecule: Molecule, neutral: int, orbitals: int) -> None:
    """Refuses electrons that there are not, or that its orbitals cannot have."""
    total, spin = neutral - molecule.charge, molecule.spin
    if total < 1:
        raise ValueError(
            f"a molecule of this charge has no electrons: it is {molecule.charge}, and uncharged "
            f"there are {neutral}; give a smaller charge"
        )
    if total > 2 * orbitals:
        raise ValueError(
            f"{total} electrons do not go into {orbitals} orbitals; give a larger charge or a larger "
            "basis"
        )
    if (total + spin) % 2 or spin > total or (total + spin) // 2 > orbitals:
        parity = "even" if total % 2 == 0 else "odd"
        raise ValueError(
            f"{total} electrons, {spin} of them unpaired, do not go into {orbitals} orbitals: spin, "
            f"the number of unpaired ones, has to be {parity} here and at most "
            f"{min(total, 2 * orbitals - total)}"
        )


def _require_filled(molecule: Molecule, total: int) -> None:
    """Refuses more frozen orbitals than are doubly occupied."""
    filled = (total - molecule.spin) // 2
    if molecule.frozen_core > filled:
        raise ValueError(
            f"frozen_core is {molecule.frozen_core}, and of a molecule with {total} electrons, "
            f"{molecule.spin} of them unpaired, {filled} orbitals are doubly occupied; freeze fewer "
            "than these"
        )


class FCIDump(_System):
    """A file with the integrals. Read once, when the run starts; what was read stays in the run.

    Orbitals that are not in the order in which they are filled, as where a program groups them by
    symmetry, are put in it.
    """

    type: Literal["fcidump"] = "fcidump"
    path: Path

    def hamiltonian(self) -> Hamiltonian:
        """Reads the file; as `set_up`, and warns of what may be missing."""
        found = self.set_up()
        for remark in found.remarks:
            warnings.warn(remark, stacklevel=2)
        return found.hamiltonian

    def set_up(self) -> SetUp:
        """Reads the file.

        Raises:
            ValueError: it is missing or no FCIDUMP.
        """
        found = read_integrals(self.path)
        return SetUp(of_integrals(found).with_lowest_determinant_first(), found.remarks)


def _file_or_settings(value: object) -> object:
    if isinstance(value, str | Path):
        return {"type": "fcidump", "path": str(value)}
    if isinstance(value, dict) and "type" not in value:
        return {"type": "fcidump" if "path" in value else "molecule", **value}
    return value


System = Annotated[
    Annotated[Molecule | FCIDump, Field(discriminator="type")], BeforeValidator(_file_or_settings)
]
"""A molecule, or an FCIDUMP file; a plain text is such a file's path."""


def _labels(molecule: Any, orbitals: Any) -> npt.NDArray[np.int64]:
    """Of each orbital's symmetry; empty where they have none."""
    from pyscf import symm

    if not molecule.symmetry:
        return np.empty(0, np.int64)
    found = symm.label_orb_symm(
        molecule, molecule.irrep_id, molecule.symm_orb, orbitals, check=False
    )
    return np.array([_molpro(molecule.groupname, label) for label in found], np.int64)


def _dipoles(molecule: Any, coefficients: Any, core: int, active: int) -> tuple[Any, Any]:
    """Positions between active orbitals, and the moment of nuclei and core electrons; in bohr."""
    with molecule.with_common_origin((0.0, 0.0, 0.0)):
        positions = molecule.intor_symmetric("int1e_r", comp=3)
    inner, outer = coefficients[:, :core], coefficients[:, core : core + active]
    between = np.array([outer.T @ axis @ outer for axis in positions])
    nuclei = molecule.atom_charges() @ molecule.atom_coords()
    frozen = 2 * np.einsum("pi,xpq,qi->x", inner, positions, inner)
    return (between + between.transpose(0, 2, 1)) / 2, nuclei - frozen


def _molpro(group: str, label: int) -> int:
    from pyscf.tools import fcidump

    orders: Any = fcidump.ORBSYM_MAP
    return int(orders[group][label]) if group in orders else 1
