"""What identifies an image's URL: all of it but a signature, which changes each time somebody signs the URL anew."""

from __future__ import annotations

import functools
from collections import Counter
from urllib.parse import urlsplit

from airflow_provider_kling.values import value


@value
class _Scheme:
    """A way to sign a URL: the parameters that make a signature, all of them, and those that may belong to it."""

    needed: frozenset[str]
    optional: frozenset[str] = frozenset()


def _scheme(needed: str, optional: str = "") -> _Scheme:
    return _Scheme(frozenset(needed.split()), frozenset(optional.split()))


def _v4(vendor: str, more: str = "") -> _Scheme:
    """Version 4 of AWS's signatures, as several vendors have it under names of their own."""
    names = " ".join(f"{vendor}-{name}" for name in ("algorithm", "credential", "date", "expires", "signedheaders", "signature"))
    return _scheme(names, f"{vendor}-security-token {vendor}-content-sha256 {more}")


_SAS = "st spr sip si sp se ses sdd saoid suoid scid skoid sktid skt ske sks skv"


@functools.cache  # few URLs have parameters
def _known() -> tuple[_Scheme, ...]:
    # Names in lower case, and the page of the vendor that names them.
    return (
        # docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html; SDKs of AWS add x-amz-checksum-mode
        _v4("x-amz", "x-amz-checksum-mode"),
        # docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html (version 2)
        _scheme("awsaccesskeyid signature expires", "x-amz-security-token"),
        # docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html: canned policy, own policy
        _scheme("key-pair-id signature expires"),
        _scheme("key-pair-id signature policy"),
        # cloud.google.com/storage/docs/authentication/canonical-requests
        # cloud.google.com/storage/docs/access-control/signed-urls-v2
        _v4("x-goog"),
        _scheme("googleaccessid signature expires"),
        # cloud.google.com/cdn/docs/using-signed-urls
        _scheme("keyname signature expires", "urlprefix"),
        # learn.microsoft.com/rest/api/storageservices/create-service-sas, …/create-user-delegation-sas, …/create-account-sas
        _scheme("sv sr sig se sp", _SAS),
        _scheme("sv sr sig si", _SAS),
        _scheme("sv ss srt sig se sp", _SAS),
        # alibabacloud.com/help/en/oss/developer-reference/add-signatures-to-urls (version 4), …/ddd-signatures-to-urls (version 1)
        _scheme(
            "x-oss-signature-version x-oss-credential x-oss-date x-oss-expires x-oss-signature",
            "x-oss-additional-headers x-oss-security-token",
        ),
        _scheme("ossaccesskeyid signature expires", "security-token"),
        # tencentcloud.com/document/product/436/7778
        _scheme("q-sign-algorithm q-ak q-sign-time q-key-time q-header-list q-url-param-list q-signature", "x-cos-security-token"),
        # volcengine.com/docs/6349/129226
        _v4("x-tos"),
        # support.huaweicloud.com/intl/en-us/api-obs/obs_04_0011.html
        _scheme("accesskeyid signature expires", "x-obs-security-token"),
    )


def strip_signature(url: str) -> str:
    """The URL without the parameters that sign it, and without a fragment or credentials.

    The identity of a request rests on the result, so it must stay the same for ever. What is left is as it was written: two
    URLs that differ in a byte are two images. A signature counts only if it is complete, as other services may have one of
    its parameters for a purpose of their own. Raises ValueError for what is no URL.
    """
    host = urlsplit(url).netloc
    address, _, query = url.partition("#")[0].partition("?")
    parameters = query.split("&") if query else []
    names = [parameter.partition("=")[0].lower() for parameter in parameters]
    once = {name for name, count in Counter(names).items() if count == 1}
    signing = set() if not names else {name for known in _known() if known.needed <= once for name in known.needed | known.optional}
    kept = "&".join(parameter for parameter, name in zip(parameters, names, strict=True) if name not in signing)
    scheme, _, rest = address.partition("://")
    address = f"{scheme.lower()}://{rest.replace(host, host.rpartition('@')[2], 1)}"
    return f"{address}?{kept}" if kept else address
