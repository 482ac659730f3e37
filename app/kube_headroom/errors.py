"""The three families of errors, by whose fault they are; everything else is a bug."""


class AppError(Exception):
    """The base of all errors this product raises on purpose."""


class MalformedReview(AppError):  # noqa: N818 - named for what it is
    """The caller's fault: a body that is no AdmissionReview. Answered with HTTP 400."""


class PolicyError(AppError):
    """The administrator's fault: a policy that cannot be used. Carries every fault at once."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class ClusterUnavailable(AppError):  # noqa: N818 - named for what it is
    """The environment's fault: the API server cannot be reached or the view is not current.

    On the request path it becomes HTTP 503 with Retry-After, in a command exit code 3.
    """
