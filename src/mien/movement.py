"""The method of a flow: the meaning of its numbers, and how to compute the same numbers for a new clip.

A store of clips records it, and so do the runs trained on it and the cards of their model files.
"""

from dataclasses import dataclass, replace

from .reading import Measure, Text

__all__ = ["Movement"]


@dataclass(frozen=True, kw_only=True)
class Movement:
    """Settings of the flow between two frames, and the frames a second of the clips."""

    flow: Text
    """A key of `mien.data.flow.FLOWS`."""
    steady: bool
    """Whether the movement of the head was taken out."""
    stretch: bool
    """Whether each image was stretched to 0 to 1; else flow is in pixels of a face 128 pixels wide."""
    magnify: Measure
    """Amplification of movements before the flow; 0 for none."""
    slowest_fps: Measure
    """Frames a second of the slowest clip."""
    fastest_fps: Measure
    """Of the fastest."""

    def __str__(self) -> str:
        return f"{self.flow_words}; clips of {self.fps_words} frames a second"

    @property
    def fps_words(self) -> str:
        """`200`, or `100 to 200`."""
        return " to ".join(dict.fromkeys(f"{fps:g}" for fps in (self.slowest_fps, self.fastest_fps)))

    @property
    def flow_words(self) -> str:
        """How the flow is computed, whatever the frames a second."""
        scale = "stretched to 0 to 1" if self.stretch else "in pixels of a face 128 wide"
        head = ", the head held still" if self.steady else ""
        larger = f", magnified {1 + self.magnify:g} times" if self.magnify else ""
        return f"Flow by {self.flow}, {scale}{head}{larger}"

    def together(self, other: "Movement") -> "Movement":
        """That of clips of both, whose flows are alike."""
        slowest, fastest = min(self.slowest_fps, other.slowest_fps), max(self.fastest_fps, other.fastest_fps)
        return replace(self, slowest_fps=slowest, fastest_fps=fastest)
