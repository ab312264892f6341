"""What both networks' recipes say about data: which part of which data set plays which role."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["Count", "DataSetsRecipe", "PartRecipe", "Positive", "Share"]

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]


class PartRecipe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Part of a data set, and the role that its frames play.

    Attributes:
        folder: Folder of the data set, below ``data.root``; empty is ``data.root`` itself.
        layout: Key of its layout, or empty to recognise it.
        splits: Splits that are taken; leave it out for a data set without splits.
        role: ``targets`` takes only frames that hold a target, ``target-free`` only frames that hold none; ``by-truth``
            takes all, each in the role that its truth gives it (``video`` for frames of clips); ``ignored`` takes none.
        optional: Do without it where its folder is not there.
        licence: Licence of the frames; it is kept with the run.
        ignored: File of ``clip,frame,x,y``, below ``data.root`` or absolute: places in clips that count neither as
            target nor as background, beside the data set's own; ``python -m lpnet_rt.training.tracks unlabelled``
            makes one. An optional part does without it where it is not there.
    """

    folder: str = ""
    layout: str = ""
    splits: tuple[str, ...] = ()
    role: Literal["by-truth", "targets", "target-free", "ignored"] = "by-truth"
    optional: bool = False
    licence: str = ""
    ignored: str = ""


class DataSetsRecipe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where frames come from, and what they are for.

    Attributes:
        root: Folder of the data; the flag ``--data`` sets it.
        train: What is trained on.
        validation: What the best model is chosen by; an empty list holds part of the training frames back.
        validation_share: Share of the training images that is held back where ``validation`` is empty.
        held_back_by: What is held back there: single images (``frame``), or clips and images whose names differ only in
            the number at their end (``recording``).
        video_stride: Every n-th labelled frame of a clip is trained on.
        held_back: Clips whose number leaves this when divided by ``held_back_of`` are validated on and never trained
            on, unless a part names their splits.
        held_back_of: See ``held_back``.
        video_crops: Crops per epoch from frames of clips; 0 reads none of them.
    """

    root: str = "data"
    train: tuple[PartRecipe, ...] = (PartRecipe(splits=("train",)),)
    validation: tuple[PartRecipe, ...] = (PartRecipe(splits=("val",)),)
    validation_share: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    held_back_by: Literal["frame", "recording"] = "frame"
    video_stride: Positive = 10
    held_back: Count = 1
    held_back_of: Positive = 5
    video_crops: Count = 0
