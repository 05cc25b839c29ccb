"""What a place tells of its training rows: sums, of which with those of other places their preparation is made."""

from collections.abc import Iterable
from functools import reduce
from typing import Self

from pydantic import Field, model_validator

from federation.data.columns import Sums, fitted, merged
from federation.data.pictures import channels_last
from federation.data.preparation import Preparation
from federation.data.spread import Spread
from federation.data.targets import Kind
from federation.rules import Frozen, InputError, Several
from federation.tasks import Task


class Summary(Frozen):
    """Sums over the training rows of one place, or of several.

    Attributes:
        kind: what the targets are.
        columns: of a table, the sums of each.
        shape: of one sample of arrays, as they are given.
        spread: of flat rows.
        span: the least and the largest number of images; None for bytes, whose range is known.
        classes: all that there are, in order.
        amounts: of each real value that is learned.
    """

    kind: Kind
    columns: dict[str, Sums] = Field(default_factory=dict)
    shape: Several[int] = ()
    spread: Spread | None = None
    span: Several[float] | None = Field(default=None, min_length=2, max_length=2)
    classes: Several[str | int] = ()
    amounts: Spread | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if (self.kind == "classification") != bool(self.classes) or bool(self.classes) == bool(self.amounts):
            raise ValueError("a summary names either classes or amounts")
        return self

    def __add__(self, other: "Summary") -> "Summary":
        """Both together.

        Raises:
            InputError: they do not fit together; what differs, and what to do.
        """
        for what, mine, theirs in (
            ("targets", self.kind, other.kind),
            ("samples", _form(self), _form(other)),
            ("labels", _label(self), _label(other)),
        ):
            if mine != theirs:
                raise InputError(f"{what} are {mine} here and {theirs} there; make them alike")
        return Summary(
            kind=self.kind,
            columns=merged((self.columns, other.columns)) if self.columns else {},
            shape=self.shape,
            spread=self.spread + other.spread if self.spread and other.spread else None,
            span=(min(self.span[0], other.span[0]), max(self.span[1], other.span[1]))
            if self.span and other.span
            else None,
            classes=tuple(sorted({*self.classes, *other.classes})),
            amounts=self.amounts + other.amounts if self.amounts and other.amounts else None,
        )

    @staticmethod
    def total(parts: Iterable["Summary"]) -> "Summary":
        """All parts together."""
        return reduce(Summary.__add__, parts)

    @property
    def discreet(self) -> "Summary":
        """The same without texts that nearly each row has for itself, such as names."""
        return self.model_copy(update={"columns": {name: sums.discreet for name, sums in self.columns.items()}})

    def preparation(self, where: str) -> Preparation:
        """How such rows are prepared: columns are standardised, images brought to -1..1.

        Args:
            where: what messages call the rows.
        Raises:
            InputError: there is nothing to learn, or nothing to learn from.
        """
        if self.kind == "classification" and len(self.classes) < 2:
            raise InputError(f"{where} holds one class only; expected at least two")
        if self.amounts and min(self.amounts.squares) == 0:
            raise InputError(f"{where} holds a value that is the same for all samples; nothing is to be learned")
        centre, scale = self.amounts.standard() if self.amounts else ((), ())
        targets = {"classes": self.classes, "target_centre": centre, "target_scale": scale}
        return self._of_inputs(where).model_copy(update=targets)

    def _of_inputs(self, where: str) -> Preparation:
        if self.columns:
            return Preparation(columns=fitted(self.columns, where))
        if self.spread:
            centre, scale = self.spread.standard()
            return Preparation(centre=centre, scale=scale)
        least, most = self.span or (0.0, 255.0)
        return Preparation(
            channel=len(self.shape) == 2,
            channels_last=channels_last((1, *self.shape)),
            centre=((least + most) / 2,),
            scale=((most - least) / 2 or 1.0,),
        )

    def task(self, preparation: Preparation) -> Task:
        """The task of rows that are prepared like this."""
        outputs = len(preparation.classes) or len(preparation.target_centre)
        shape = preparation.shape(self.shape)
        return Task.kinds()[self.kind](input_shape=shape, outputs=outputs)


def _form(summary: Summary) -> str:
    """What one sample is."""
    if summary.columns:
        return "rows of columns"
    kind = "numbers" if summary.spread or summary.span else "bytes"
    return f"{kind} {list(summary.shape)}"


def _label(summary: Summary) -> str:
    """What one target is."""
    if summary.amounts:
        return f"{len(summary.amounts.mean)} amounts"
    return "text" if isinstance(summary.classes[0], str) else "whole numbers"
