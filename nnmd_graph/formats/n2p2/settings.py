"""`input.nn` of n2p2 and RuNNer: its keywords, and what they say about a potential."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnmd_graph.data.reading.runner import Normalization
from nnmd_graph.elements import atomic_number
from nnmd_graph.formats.n2p2.functions import (
    CUTOFF_TYPES,
    FunctionLine,
    finite_number,
)
from nnmd_graph.formats.n2p2.lines import Lines
from nnmd_graph.nn.cutoff import NO_INNER_RADIUS

JUMPING = ("tanh3", "tanh3_normalized")
"""Cutoff functions that jump at the inner cutoff in RuNNer and have none in n2p2."""

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


@dataclass(frozen=True)
class Network:
    """Layers of the net of one element: hidden widths, activations with the output layer's."""

    hidden_channels: tuple[int, ...]
    activation: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """Contents of `input.nn`, in the units of the file.

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
        networks: Nets of the elements in each of the ways in which `element_nodes_short` is read,
            the likeliest first; the number of weights tells.
        normalize_nodes: Whether sums into a node are divided by their number.
        atom_energies: Offset of each element, zero where the code that wrote the file adds none.
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
    networks: tuple[dict[int, Network], ...]
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


class _Reader(Lines):
    """Read the keywords, in the order that gives the clearest error messages."""

    def settings(self) -> Settings:
        self.check_supported()
        self.check_kind()
        species = self.species()
        normalization = self.normalization()
        cutoff_function, inner_cutoff = self.cutoff_function()
        s_min, s_max = self.scaled_range()
        settings = Settings(
            file=self.file,
            text=self.text,
            species=species,
            functions=self.functions(species, normalization),
            cutoff_function=cutoff_function,
            inner_cutoff=inner_cutoff,
            scaling=self.scaling(),
            s_min=s_min,
            s_max=s_max,
            networks=self.networks(species),
            normalize_nodes="normalize_nodes" in self.found,
            atom_energies=self.atom_energies(species),
            normalization=normalization,
        )
        self.warn()
        return settings

    def check_kind(self) -> None:
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
        there = [key for key in (*keys, "conv_charge") if key in self.found]
        if there and not all(key in self.found for key in keys):
            raise self.error(0, f"all of {keys} or none", f"only {there}", "correct the file")
        values = Normalization(
            *(self.number(k, d) for k, d in zip(keys, Normalization(), strict=True))
        )
        if not (values.conv_energy > 0.0 and values.conv_length > 0.0):
            line = self.found["conv_energy"][0][0]
            raise self.error(line, "positive conv_energy and conv_length", str(values))
        return values

    def cutoff_function(self) -> tuple[str, float]:
        """Name, and inner cutoff: n2p2's second word of `cutoff_type`, RuNNer's `cutoff_alpha`."""
        if self.runner and "cutoff_type" not in self.found:
            line, words = 0, ["1"]  # RuNNer's default, n2p2 has none
        else:
            line, words = self.words("cutoff_type")
        if words[0] not in (types := [str(n) for n in range(len(CUTOFF_TYPES))]):
            raise self.error(line, f"a cutoff_type of {', '.join(types)}", repr(words[0]))
        name = CUTOFF_TYPES[int(words[0])]
        inner = self.parse(line, finite_number, words[1]) if len(words) > 1 else 0.0
        if "cutoff_alpha" in self.found:
            line, own = self.line_of("cutoff_alpha"), self.number("cutoff_alpha", 0.0)
            if len(words) > 1 and own != inner:
                raise self.error(
                    line, "'cutoff_alpha' and the second word of 'cutoff_type' to agree",
                    f"{own} and {inner}", "RuNNer knows the one and n2p2 the other: keep one",
                )  # fmt: skip
            if own and name in JUMPING:
                raise self.error(
                    line, f"no 'cutoff_alpha' with cutoff_type {words[0]}", str(own),
                    "RuNNer's function jumps at the inner cutoff, which is not read",
                )  # fmt: skip
            inner = own
        if not 0.0 <= inner < 1.0:
            raise self.error(line, "an inner cutoff in [0, 1)", str(inner))
        return name, 0.0 if name in NO_INNER_RADIUS else inner

    def scaled_range(self) -> tuple[float, float]:
        """Ends of the scaled range; RuNNer calls them by longer names."""
        if "center_symmetry_functions" in self.found:
            for key, default in (("scale_min_short_atomic", 0.0), ("scale_max_short_atomic", 1.0)):
                if self.number(key, default) != default:
                    raise self.error(
                        self.line_of(key), f"{key} {default} with 'center_symmetry_functions'",
                        str(self.number(key, default)), "RuNNer refuses the two together",
                    )  # fmt: skip
        s_min = self.agreeing_number(("scale_min_short", "scale_min_short_atomic"), 0.0)
        s_max = self.agreeing_number(("scale_max_short", "scale_max_short_atomic"), 1.0)
        return s_min, s_max

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
        """Offsets: n2p2 adds what is there, RuNNer only with `remove_atom_energies`."""
        given: dict[int, float] = {}
        for number, words in self.found.get("atom_energy", ()):
            if len(words) < 2:
                raise self.error(number, "an element and an energy", " ".join(words))
            z = self.element(number, words, species)
            energy = self.parse(number, finite_number, words[1])
            if given.setdefault(z, energy) != energy:
                raise self.error(
                    number, f"one atom_energy of {words[0]}", f"{given[z]} and {energy}"
                )
        energies = dict.fromkeys(species, 0.0) | given
        if any(energies.values()) and "remove_atom_energies" not in self.found:
            line = self.line_of("atom_energy")
            if self.runner:
                self.say(
                    line, "'atom_energy' without 'remove_atom_energies': RuNNer, which alone knows "
                    "some of these keywords, adds none, nor does this potential; write "
                    "'remove_atom_energies' where they are meant to be added",
                )  # fmt: skip
                return dict.fromkeys(species, 0.0)
            if self.both:
                self.say(
                    line, "'atom_energy' without 'remove_atom_energies': n2p2 adds them, as is "
                    "done here, and RuNNer does not; take the lines out where they are not meant",
                )  # fmt: skip
        return energies

    def networks(self, species: tuple[int, ...]) -> tuple[dict[int, Network], ...]:
        """Nets as n2p2 builds them, as they were probably meant, and as RuNNer builds them.

        `element_nodes_short O 5 4` has all hidden layers in n2p2, which leaves the last one alone
        (`Mode.cpp:1346`); `element_nodes_short O 1 5` has layer and width in RuNNer.
        """
        line, words = self.words("global_hidden_layers_short")
        count = self.parse(line, positive_integer, words[0])
        self.check_depth(count)
        width = self.widths("global_nodes_short", count)
        letters = self.letters("global_activation_short", count)
        plain = {z: Network(width, letters) for z in species}
        if "element_activation_short" in self.found:
            number, words = self.words("element_activation_short", 2)
            z = self.element(number, words, species)
            if words[1].isdigit():
                raise self.error(
                    number, "one activation for each layer", " ".join(words),
                    "activations of single nodes are not read",
                )  # fmt: skip
            number, words = self.words("element_activation_short", 2 + count)
            plain[z] = Network(width, (*self.names(number, words[1 : 1 + count]), letters[-1]))
        built, meant, runner = dict(plain), dict(plain), dict(plain)
        lines = self.found.get("element_nodes_short", ())
        for number, words in lines:
            z = self.element(number, words, species)
            nodes = tuple(self.parse(number, positive_integer, w) for w in words[1:])
            layer = nodes[0] if len(nodes) == 2 and nodes[0] <= count else 0
            if len(nodes) != count and not layer:
                raise self.error(number, f"an element and {count} widths", " ".join(words))
            activation = plain[z].activation
            if len(nodes) == count:
                meant[z] = Network(nodes, activation)
                built[z] = Network((*nodes[:-1], width[-1]), activation)
            if layer:
                hidden = list(runner[z].hidden_channels)
                hidden[layer - 1] = nodes[1]
                runner[z] = Network(tuple(hidden), activation)
        return (runner, built, meant) if self.runner else (built, meant, runner)

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


def _element(word: str) -> int:
    """Atomic number of a symbol; the line in the file is named by the caller."""
    return atomic_number(word, None)
