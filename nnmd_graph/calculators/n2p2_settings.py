"""`input.nn` of n2p2 and RuNNer: its keywords, and what they say about a potential."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nnmd_graph.calculators.n2p2_functions import (
    CUTOFF_TYPES,
    FunctionLine,
    finite_number,
)
from nnmd_graph.data.runner import Normalization
from nnmd_graph.elements import atomic_number
from nnmd_graph.nn.cutoff import NO_INNER_RADIUS

A = TypeVar("A")
T = TypeVar("T")

ALIASES = {
    "symfunction": "symfunction_short",
    "nnp_generation": "nnp_type",
    "nnp_type_gen": "nnp_type",
    "nnp_gen": "nnp_type",
}
REPEATED = ("symfunction_short", "atom_energy", "element_nodes_short")
"""Keywords that may occur several times."""

ACTIVATIONS = {
    "l": "identity",
    "t": "tanh",
    "s": "sigmoid",
    "p": "softplus",
    "r": "relu",
    "g": "gaussian",
    "c": "cos",
    "S": "revlogistic",
    "e": "exponential",
    "h": "harmonic",
}
"""Names of :mod:`nnmd_graph.nn.mlp` by n2p2's letters."""

UNSUPPORTED = {
    "use_electrostatics": "electrostatic energies",
    "use_vdw": "dispersion energies",
    "global_symfunction_short": "functions that are not written out",
    "element_symfunction_short": "functions that are not written out",
    "global_pairsymfunction_short": "networks of pairs",
}
"""Keywords, most of them RuNNer's, that change energies and are not understood here."""


@dataclass(frozen=True)
class Network:
    """Layers of the net of one element: hidden widths, activations with the output layer's."""

    hidden_channels: tuple[int, ...]
    activation: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """What `input.nn` says, in the units of the file.

    Attributes:
        file: The file.
        text: All of it, comments too.
        species: Atomic numbers, sorted.
        functions: Functions of each element as n2p2 sorts them, with their lines.
        cutoff_function: Name of f_c.
        inner_cutoff: Fraction of the cutoff where it begins to fall.
        scaling: Kind of the :class:`nnmd_graph.representations.range_scaling.RangeScaler`.
        s_min: Lower end of the scaled range.
        s_max: Upper end.
        networks: Net of each element as n2p2 builds it: `element_nodes_short` leaves the last
            hidden layer alone (`Mode.cpp:1346`).
        intended: Net of each element with `element_nodes_short` for all hidden layers.
        normalize_nodes: Whether sums into a node are divided by their number.
        atom_energies: Offset of each element.
        normalization: Internal units.
    """

    file: Path
    text: str
    species: tuple[int, ...]
    functions: dict[int, list[tuple[int, FunctionLine]]]
    cutoff_function: str
    inner_cutoff: float
    scaling: str
    s_min: float
    s_max: float
    networks: dict[int, Network]
    intended: dict[int, Network]
    normalize_nodes: bool
    atom_energies: dict[int, float]
    normalization: Normalization


def read_settings(file: Path) -> Settings:
    """Read `input.nn`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A keyword is missing, contradicts another, or means what is not understood.
    """
    return _Reader(file).settings()


class _Reader:
    """Keywords with their words and the numbers of their lines."""

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise FileNotFoundError(
                f"`folder`: expected the folder of an n2p2 or RuNNer potential, got no '{file}'; "
                "check the name"
            )
        self.file = file
        self.text = file.read_text(encoding="utf-8", errors="replace")
        self.found: dict[str, list[tuple[int, list[str]]]] = {}
        spelled: dict[str, str] = {}
        for number, line in enumerate(self.text.splitlines(), start=1):
            key, *words = line.split("#")[0].split("!")[0].split() or [""]
            name = ALIASES.get(key, key)
            if name in _KEYWORDS and spelled.setdefault(name, key) != key:
                raise self.error(number, f"either {spelled[name]!r} or {key!r}", "both")
            if name in _KEYWORDS and name in self.found and name not in REPEATED:
                raise self.error(number, f"{key!r} once", "it again")
            self.found.setdefault(name, []).append((number, words))

    def error(self, number: int, expected: str, got: str, advice: str = "correct it") -> ValueError:
        where = f"{self.file}:{number}" if number else f"'{self.file}'"
        return ValueError(f"`folder`: {where}: expected {expected}, got {got}; {advice}")

    def parse(self, number: int, read: Callable[[A], T], value: A) -> T:
        """A value, with the line in the message of errors."""
        try:
            return read(value)
        except ValueError as error:
            raise ValueError(f"`folder`: {self.file}:{number}: {error}; correct it") from None

    def words(self, key: str, least: int = 1) -> tuple[int, list[str]]:
        """Line and words of a keyword that must be there."""
        if key not in self.found:
            raise self.error(0, f"the keyword {key!r}", "none", "is this a potential's input.nn?")
        ((number, words),) = self.found[key]
        if len(words) < least:
            raise self.error(number, f"{least} word(s) behind {key!r}", str(len(words)))
        return number, words

    def number(self, key: str, default: float) -> float:
        if key not in self.found:
            return default
        line, words = self.words(key)
        return self.parse(line, finite_number, words[0])

    def settings(self) -> Settings:
        self.check_supported()
        species = self.species()
        normalization = self.normalization()
        cutoff_function, inner_cutoff = self.cutoff_function()
        networks, intended = self.networks(species)
        return Settings(
            file=self.file,
            text=self.text,
            species=species,
            functions=self.functions(species, normalization),
            cutoff_function=cutoff_function,
            inner_cutoff=inner_cutoff,
            scaling=self.scaling(),
            s_min=self.number("scale_min_short", 0.0),
            s_max=self.number("scale_max_short", 1.0),
            networks=networks,
            intended=intended,
            normalize_nodes="normalize_nodes" in self.found,
            atom_energies=self.atom_energies(species),
            normalization=normalization,
        )

    def check_supported(self) -> None:
        for key, what in UNSUPPORTED.items():
            if key in self.found:
                number, _ = self.found[key][0]
                raise self.error(
                    number, "a short-range potential", f"{key!r}", f"{what} are not read"
                )
        for key, accepted in (("nnp_type", ("2G-HDNNP", "2")), ("nn_type_short", ("1",))):
            if key in self.found:
                number, words = self.words(key)
                if words[0] not in accepted:
                    raise self.error(
                        number, f"{key} {' or '.join(accepted)} (one net per element)",
                        f"{key} {words[0]}", "potentials of other kinds are not read",
                    )  # fmt: skip

    def species(self) -> tuple[int, ...]:
        line, words = self.words("elements")
        species = tuple(sorted({self.parse(line, _element, w) for w in words}))
        count = int(self.number("number_of_elements", len(species)))
        if count != len(words) or len(species) != len(words):
            raise self.error(line, f"{count} different elements", " ".join(words))
        return species

    def element(self, number: int, words: list[str], species: tuple[int, ...]) -> int:
        z = self.parse(number, _element, words[0] if words else "")
        if z not in species:
            raise self.error(number, "an element of 'elements'", repr(words[0]))
        return z

    def normalization(self) -> Normalization:
        keys = Normalization._fields
        there = [key for key in keys if key in self.found]
        if there and len(there) < len(keys):
            raise self.error(0, f"all of {keys} or none", f"only {there}", "correct the file")
        values = Normalization(
            *(self.number(k, d) for k, d in zip(keys, Normalization(), strict=True))
        )
        if not (values.conv_energy > 0.0 and values.conv_length > 0.0):
            line = self.found["conv_energy"][0][0]
            raise self.error(line, "positive conv_energy and conv_length", str(values))
        return values

    def cutoff_function(self) -> tuple[str, float]:
        line, words = self.words("cutoff_type")
        if words[0] not in (types := [str(n) for n in range(len(CUTOFF_TYPES))]):
            raise self.error(line, f"a cutoff_type of {', '.join(types)}", repr(words[0]))
        name = CUTOFF_TYPES[int(words[0])]
        inner = self.parse(line, finite_number, words[1]) if len(words) > 1 else 0.0
        if not 0.0 <= inner < 1.0:
            raise self.error(line, "an inner cutoff in [0, 1)", words[1])
        return name, 0.0 if name in NO_INNER_RADIUS else inner

    def scaling(self) -> str:
        scale = "scale_symmetry_functions" in self.found
        center = "center_symmetry_functions" in self.found
        if scale or center:
            return "scale_center" if scale and center else "scale" if scale else "center"
        return "sigma" if "scale_symmetry_functions_sigma" in self.found else "none"

    def functions(
        self, species: tuple[int, ...], normalization: Normalization
    ) -> dict[int, list[tuple[int, FunctionLine]]]:
        """Functions of each element with their lines, sorted as n2p2 does it."""
        found: dict[int, list[tuple[int, FunctionLine]]] = {z: [] for z in species}
        for number, words in self.found.get("symfunction_short", ()):
            line = self.parse(number, FunctionLine.parse, words)
            for z in (line.centre, *line.neighbors):
                if z not in species:
                    raise self.error(number, "elements of 'elements'", " ".join(words))
            found[line.centre].append((number, line))
        for z, lines in found.items():
            if not lines:
                raise self.error(0, f"'symfunction_short' for each element (Z = {z})", "none")
            lines.sort(key=lambda item: item[1].sort_key(normalization.conv_length))
        return found

    def atom_energies(self, species: tuple[int, ...]) -> dict[int, float]:
        energies = dict.fromkeys(species, 0.0)
        for number, words in self.found.get("atom_energy", ()):
            if len(words) < 2:
                raise self.error(number, "an element and an energy", " ".join(words))
            z = self.element(number, words, species)
            energies[z] = self.parse(number, finite_number, words[1])
        return energies

    def networks(self, species: tuple[int, ...]) -> tuple[dict[int, Network], dict[int, Network]]:
        """Nets as n2p2 builds them, and as they were probably meant."""
        line, words = self.words("global_hidden_layers_short")
        count = self.parse(line, positive_integer, words[0])
        self.check_depth(count)
        width = self.widths("global_nodes_short", count)
        letters = self.letters("global_activation_short", count)
        networks = {z: Network(width, letters) for z in species}
        if "element_activation_short" in self.found:
            number, words = self.words("element_activation_short", 2 + count)
            z = self.element(number, words, species)
            names = self.names(number, words[1 : 1 + count])
            networks[z] = Network(width, (*names, letters[-1]))
        intended = dict(networks)
        for number, words in self.found.get("element_nodes_short", ()):
            z = self.element(number, words, species)
            if len(words) != count + 1:
                raise self.error(number, f"an element and {count} widths", " ".join(words))
            nodes = tuple(self.parse(number, positive_integer, w) for w in words[1:])
            activation = networks[z].activation
            intended[z] = Network(nodes, activation)
            networks[z] = Network((*nodes[:-1], width[-1]), activation)
        return networks, intended

    def check_depth(self, count: int) -> None:
        if "element_hidden_layers_short" in self.found:
            number, words = self.words("element_hidden_layers_short", 2)
            if words[1] != str(count):
                raise self.error(
                    number, f"{count} hidden layers for all elements", " ".join(words),
                    "n2p2 itself cannot build such nets",
                )  # fmt: skip

    def widths(self, key: str, count: int) -> tuple[int, ...]:
        line, words = self.words(key)
        widths = tuple(self.parse(line, positive_integer, w) for w in words)
        if len(widths) != count:
            raise self.error(line, f"{count} widths behind {key!r}", " ".join(words))
        return widths

    def letters(self, key: str, count: int) -> tuple[str, ...]:
        line, words = self.words(key)
        if len(words) != count + 1:
            raise self.error(line, f"{count + 1} letters behind {key!r}", " ".join(words))
        return self.names(line, words)

    def names(self, number: int, letters: list[str]) -> tuple[str, ...]:
        for letter in letters:
            if letter not in ACTIVATIONS:
                raise self.error(number, f"activations of {', '.join(ACTIVATIONS)}", repr(letter))
        return tuple(ACTIVATIONS[letter] for letter in letters)


def positive_integer(word: str) -> int:
    """A number of layers or nodes.

    Raises:
        ValueError: It is none.
    """
    if not word.isdigit() or int(word) == 0:
        raise ValueError(f"expected a positive integer, got {word!r}")
    return int(word)


_KEYWORDS = {
    *REPEATED,
    *Normalization._fields,
    "number_of_elements",
    "elements",
    "cutoff_type",
    "nnp_type",
    "nn_type_short",
    "scale_symmetry_functions",
    "center_symmetry_functions",
    "scale_symmetry_functions_sigma",
    "scale_min_short",
    "scale_max_short",
    "normalize_nodes",
    "global_hidden_layers_short",
    "global_nodes_short",
    "global_activation_short",
    "element_hidden_layers_short",
    "element_activation_short",
}
"""What is read here; all else is of no account for energies and forces."""


def _element(word: str) -> int:
    """Atomic number of a symbol; the line in the file is named by the caller."""
    return atomic_number(word, None)
