"""What Google's Wallet API takes: the resources' fields and enums, after its REST reference, and what it refuses.

A type is a Python type, an enum as a set of strings, a list of one type, the name of a structure, or ANY for what no
test here looks into.
"""

import re
from datetime import datetime
from typing import Any

ANY = object()
IDENTIFIER = re.compile(r"\d+\.[A-Za-z0-9._-]+")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*")
COLOUR = re.compile(r"#([0-9a-fA-F]{3}){1,2}")
INT32 = range(-(2**31), 2**31)
MOST_MESSAGES = 10
# A test's own server is as public as it needs to be.
FETCHED_FROM = re.compile(r"https://|http://(127\.0\.0\.1|([a-z0-9-]+\.)*localhost)[:/]")

STATE = {"ACTIVE", "COMPLETED", "EXPIRED", "INACTIVE"}
REVIEW = {"UNDER_REVIEW", "APPROVED", "REJECTED", "DRAFT"}
HOLDERS = {"MULTIPLE_HOLDERS", "ONE_USER_ALL_DEVICES", "ONE_USER_ONE_DEVICE"}
NOTIFY = {"NOTIFICATION_SETTINGS_FOR_UPDATES_UNSPECIFIED", "NOTIFY_ON_UPDATE"}
UNLOCK = {"UNLOCK_NOT_REQUIRED", "UNLOCK_REQUIRED_TO_VIEW"}
BARCODE = {
    "AZTEC",
    "CODE_39",
    "CODE_128",
    "CODABAR",
    "DATA_MATRIX",
    "EAN_8",
    "EAN_13",
    "ITF_14",
    "PDF_417",
} | {
    "QR_CODE",
    "UPC_A",
    "TEXT_ONLY",
}

STRUCTURES: dict[str, dict[str, Any]] = {
    "TranslatedString": {"kind": str, "language": str, "value": str},
    "LocalizedString": {
        "kind": str,
        "defaultValue": "TranslatedString",
        "translatedValues": ["TranslatedString"],
    },
    "ImageUri": {"uri": str, "description": str, "localizedDescription": "LocalizedString"},
    "Image": {"kind": str, "sourceUri": "ImageUri", "contentDescription": "LocalizedString"},
    "Uri": {
        "kind": str,
        "id": str,
        "uri": str,
        "description": str,
        "localizedDescription": "LocalizedString",
    },
    "Links": {"uris": ["Uri"]},
    "Text": {
        "id": str,
        "header": str,
        "body": str,
        "localizedHeader": "LocalizedString",
        "localizedBody": "LocalizedString",
    },
    "ImageModule": {"id": str, "mainImage": "Image"},
    "DateTime": {"date": "moment"},
    "Interval": {"kind": str, "start": "DateTime", "end": "DateTime"},
    "Message": {
        "kind": str,
        "id": str,
        "header": str,
        "body": str,
        "localizedHeader": "LocalizedString",
        "localizedBody": "LocalizedString",
        "displayInterval": "Interval",
        "messageType": {"TEXT", "EXPIRATION_NOTIFICATION", "TEXT_AND_NOTIFY"},
    },
    "Money": {"kind": str, "currencyCode": str, "micros": "int64"},
    "Balance": {"string": str, "int": "int32", "double": float, "money": "Money"},
    "Points": {"label": str, "localizedLabel": "LocalizedString", "balance": "Balance"},
    "Barcode": {
        "kind": str,
        "type": BARCODE,
        "renderEncoding": {"UTF_8"},
        "value": str,
        "alternateText": str,
        "showCodeText": "LocalizedString",
    },
    "Place": {"latitude": float, "longitude": float},
    "Callback": {"url": str, "updateRequestUrl": str},
    "Grouping": {"sortIndex": "int32", "groupingId": str},
}
_OF_BOTH: dict[str, Any] = {
    "kind": str,
    "id": "id",
    "version": "int64",
    "messages": ["Message"],
    "imageModulesData": ["ImageModule"],
    "textModulesData": ["Text"],
    "linksModuleData": "Links",
    "appLinkData": ANY,
    "heroImage": "Image",
    "merchantLocations": ["Place"],
    "notifyPreference": NOTIFY,
    "valueAddedModuleData": ANY,
}
_OF_CLASSES: dict[str, Any] = _OF_BOTH | {
    "callbackOptions": "Callback",
    "multipleDevicesAndHoldersAllowedStatus": HOLDERS,
    "classTemplateInfo": ANY,
    "enableSmartTap": bool,
    "redemptionIssuers": ["int64"],
    "securityAnimation": ANY,
    "viewUnlockRequirement": UNLOCK,
}
_OF_BRANDED: dict[str, Any] = _OF_CLASSES | {
    "issuerName": str,
    "localizedIssuerName": "LocalizedString",
    "reviewStatus": REVIEW,
    "review": ANY,
    "homepageUri": "Uri",
    "countryCode": str,
    "hexBackgroundColor": "colour",
}
_OF_OBJECTS: dict[str, Any] = _OF_BOTH | {
    "classId": "id",
    "state": STATE,
    "barcode": "Barcode",
    "rotatingBarcode": ANY,
    "validTimeInterval": "Interval",
    "hasUsers": bool,
    "hasLinkedDevice": bool,
    "smartTapRedemptionValue": str,
    "groupingInfo": "Grouping",
    "passConstraints": ANY,
    "saveRestrictions": ANY,
    "linkedObjectIds": [str],
}


def _texts(*names: str) -> dict[str, Any]:
    """Plain texts, each with its `localized…` twin."""
    twins = {f"localized{name[0].upper()}{name[1:]}": "LocalizedString" for name in names}
    return dict.fromkeys(names, str) | twins


RESOURCES: dict[str, dict[str, Any]] = {
    "loyaltyClass": _OF_BRANDED
    | _texts("programName", "accountNameLabel", "accountIdLabel", "rewardsTierLabel", "rewardsTier")
    | _texts("secondaryRewardsTierLabel", "secondaryRewardsTier")
    | {"programLogo": "Image", "wideProgramLogo": "Image", "discoverableProgram": ANY},
    "loyaltyObject": _OF_OBJECTS
    | {
        "accountName": str,
        "accountId": str,
        "loyaltyPoints": "Points",
        "secondaryLoyaltyPoints": "Points",
        "linkedOfferIds": [str],
    },
    "offerClass": _OF_BRANDED
    | _texts("title", "provider", "details", "finePrint", "shortTitle")
    | {
        "redemptionChannel": {"INSTORE", "ONLINE", "BOTH", "TEMPORARY_PRICE_REDUCTION"},
        "titleImage": "Image",
        "wideTitleImage": "Image",
        "helpUri": "Uri",
    },
    "offerObject": _OF_OBJECTS | {"disableExpirationNotification": bool},
    "giftCardClass": _OF_BRANDED
    | _texts("merchantName", "pinLabel", "eventNumberLabel", "cardNumberLabel")
    | {"programLogo": "Image", "wideProgramLogo": "Image", "allowBarcodeRedemption": bool},
    "giftCardObject": _OF_OBJECTS
    | {
        "cardNumber": str,
        "pin": str,
        "balance": "Money",
        "balanceUpdateTime": "DateTime",
        "eventNumber": str,
    },
    "genericClass": _OF_CLASSES,
    "genericObject": _OF_OBJECTS
    | {
        "genericType": {
            "GENERIC_TYPE_UNSPECIFIED",
            "GENERIC_SEASON_PASS",
            "GENERIC_UTILITY_BILLS",
            "GENERIC_PARKING_PASS",
            "GENERIC_VOUCHER",
            "GENERIC_GYM_MEMBERSHIP",
            "GENERIC_LIBRARY_MEMBERSHIP",
            "GENERIC_RESERVATIONS",
            "GENERIC_AUTO_INSURANCE",
            "GENERIC_HOME_INSURANCE",
            "GENERIC_ENTRY_TICKET",
            "GENERIC_RECEIPT",
            "GENERIC_LOYALTY_CARD",
            "GENERIC_OTHER",
        },
        "cardTitle": "LocalizedString",
        "subheader": "LocalizedString",
        "header": "LocalizedString",
        "logo": "Image",
        "wideLogo": "Image",
        "hexBackgroundColor": "colour",
        "notifications": ANY,
    },
}
_BRANDED = {"id", "issuerName", "reviewStatus"}
_OBJECT = {"id", "classId", "state"}
REQUIRED = {
    "loyaltyClass": _BRANDED | {"programName", "programLogo"},
    "loyaltyObject": _OBJECT,
    "offerClass": _BRANDED | {"title", "provider", "redemptionChannel"},
    "offerObject": _OBJECT,
    "giftCardClass": _BRANDED,
    "giftCardObject": _OBJECT | {"cardNumber"},
    "genericClass": {"id"},
    "genericObject": {"id", "classId", "cardTitle", "header"},
}


class InvalidError(ValueError):
    """What is wrong with a resource, in the API's words."""


def check(resource: str, content: Any) -> None:
    """Everything that is given: known fields, of their types. Raises: InvalidError."""
    _structure(content, RESOURCES[resource], "resource")
    if len(content.get("messages", ())) > MOST_MESSAGES:
        raise InvalidError(f"Invalid value at 'resource.messages': more than {MOST_MESSAGES}")
    if len(content.get("merchantLocations", ())) > MOST_MESSAGES:
        raise InvalidError("Invalid value at 'resource.merchantLocations': more than 10")
    for name in ("loyaltyPoints", "secondaryLoyaltyPoints"):
        if name in content and len(content[name].get("balance", ())) != 1:
            raise InvalidError(f"Invalid value at 'resource.{name}.balance': exactly one form is needed")
    callback = content.get("callbackOptions", {}).get("url", "https://")
    if not callback.startswith("https://"):
        raise InvalidError("Invalid value at 'resource.callbackOptions.url': HTTPS only")


def check_complete(resource: str, content: Any) -> None:
    """The same, and that nothing required is missing. Raises: InvalidError."""
    check(resource, content)
    for name in sorted(REQUIRED[resource]):
        if not content.get(name):
            raise InvalidError(f"Missing required field: {name}")


def _structure(value: Any, fields: dict[str, Any], where: str) -> None:
    if not isinstance(value, dict):
        raise InvalidError(f"Invalid value at '{where}': an object is needed")
    for name, inner in value.items():
        if name not in fields:
            raise InvalidError(
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field."
            )
        _value(inner, fields[name], f"{where}.{name}")
    if fields is STRUCTURES["LocalizedString"] and "defaultValue" not in value:
        raise InvalidError(f"Invalid value at '{where}': defaultValue is needed")


def _value(value: Any, kind: Any, where: str) -> None:
    if kind is ANY:
        return
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise InvalidError(f"Invalid value at '{where}': a list is needed")
        for number, item in enumerate(value):
            _value(item, kind[0], f"{where}[{number}]")
    elif isinstance(kind, str) and kind in STRUCTURES:
        _structure(value, STRUCTURES[kind], where)
        _extra(value, kind, where)
    elif not _is(value, kind):
        raise InvalidError(f"Invalid value at '{where}': {value!r}")


def _is(value: Any, kind: Any) -> bool:
    if isinstance(kind, set):
        return value in kind
    match kind:
        case "id":
            return isinstance(value, str) and bool(IDENTIFIER.fullmatch(value))
        case "colour":
            return isinstance(value, str) and bool(COLOUR.fullmatch(value))
        case "int32":
            return type(value) is int and value in INT32
        case "int64":
            return str(value).lstrip("-").isdigit()
        case "moment":
            return isinstance(value, str) and _is_moment(value)
    if kind is float:
        return type(value) in (int, float)
    return type(value) is kind


def _is_moment(value: str) -> bool:
    try:
        return "T" in value and datetime.fromisoformat(value.replace("Z", "+00:00")) is not None
    except ValueError:
        return False


def _extra(value: dict[str, Any], kind: str, where: str) -> None:
    if kind == "TranslatedString" and not LANGUAGE.fullmatch(value.get("language", "")):
        raise InvalidError(f"Invalid value at '{where}.language': {value.get('language')!r}")
    if kind == "ImageUri" and not FETCHED_FROM.match(value.get("uri", "")):
        raise InvalidError(f"Invalid value at '{where}.uri': Google fetches pictures over https")
    if kind == "Place" and not (-90 <= value["latitude"] <= 90 and -180 <= value["longitude"] <= 180):
        raise InvalidError(f"Invalid value at '{where}'")
