"""The sampler's settings as they are typed: the flags that every command which makes music has."""

from typing import Annotated, TypedDict

from cyclopts import Parameter


class Sampler(TypedDict, total=False):
    """The settings of request.Settings as they are typed."""

    steps: Annotated[int, Parameter(help="Steps of a flow sampler: more is slower and finer.")]
    solver: Annotated[
        str, Parameter(help="How a flow is followed: euler, midpoint, heun, rk4, or dopri5, which picks its steps.")
    ]
    schedule: Annotated[str, Parameter(help="Where along a flow the steps are: uniform, shifted, log-snr or sway.")]
    tolerance: Annotated[float, Parameter(help="The error that dopri5 allows itself: less is slower and finer.")]
    guidance: Annotated[str, Parameter(help="How hard words and score are followed: a number, or one each: text=3,score=2.")]
    guidance_interval: Annotated[
        str, Parameter(help="Guide between two flow times only, such as 0.2:0.9; 0 is noise, 1 music.")
    ]
    guidance_rescale: Annotated[float, Parameter(help="From 0 to 1: how far to take back the spread that guidance adds.")]
    temperature: Annotated[float, Parameter(help="Of drawn tokens: less is safer, more is bolder.")]
    top_k: Annotated[int, Parameter(help="Tokens are drawn from the k likeliest; 0: from all.")]
    top_p: Annotated[float, Parameter(help="Tokens are drawn from those that have this share; 0: from all.")]
