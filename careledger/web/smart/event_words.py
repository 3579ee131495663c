"""What the house log says happened, in the languages of the pages: pure data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

EVENTS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "event.signed-in": ("signed in", "inició sesión"),
        "event.sign-in-refused": ("sign-in refused", "inicio de sesión denegado"),
        "event.passkey-refused": ("passkey refused", "llave de acceso denegada"),
        "event.provider-refused": ("provider's sign-in refused", "acceso del proveedor denegado"),
        "event.invitation-refused": ("code of an invitation refused", "código de invitación denegado"),
        "event.recovery-refused": ("code of a recovery refused", "código de recuperación denegado"),
        "event.denied": ("request refused", "petición denegada"),
        "event.enrolled": ("made an account", "creó una cuenta"),
        "event.recovered": ("recovered an account", "recuperó una cuenta"),
        "event.recovery-approved": ("said yes to a recovery", "dijo que sí a una recuperación"),
        "event.recovery-stopped": ("stopped a recovery", "detuvo una recuperación"),
        "event.requested": ("asked for", "solicitó"),
        "event.approved": ("approved", "aprobó"),
        "event.declined": ("refused what was asked for", "rechazó lo solicitado"),
        "event.invited": ("invited", "invitó"),
        "event.withdrawn": ("withdrew", "retiró"),
        "event.disabled": ("disabled an account", "desactivó una cuenta"),
        "event.enabled": ("enabled an account", "activó una cuenta"),
        "event.signs": ("signed on the ledger", "firmó en el registro"),
        "event.linked": ("linked an account to the provider", "unió una cuenta al proveedor"),
        "event.unlinked": ("unlinked an account from the provider", "separó una cuenta del proveedor"),
        "event.audit-read": ("read this log", "leyó este registro"),
        "event.token-issued": ("issued a token", "emitió un token"),
        "event.token-revoked": ("revoked a token", "revocó un token"),
        "event.personas-made": ("made the demo's people", "creó las personas de la demostración"),
        "event.client-added": ("added a program", "añadió un programa"),
        "event.client-disabled": ("disabled a program", "desactivó un programa"),
        "event.keys-rotated": (
            "rotated the keys of ID tokens",
            "renovó las claves de los tokens de identidad",
        ),
        "event.key-withdrawn": ("withdrew a key of ID tokens", "retiró una clave de los tokens de identidad"),
        "event.log-read": ("read an access log", "leyó un registro de accesos"),
        "event.erased": ("erased a version", "borró una versión"),
        "event.shredded": ("shredded a chart", "destruyó una historia"),
        "event.imported": ("imported files", "importó archivos"),
        "event.backed-up": ("made a backup", "hizo una copia de seguridad"),
        "event.upgraded": ("adopted a program's profile", "adoptó el perfil de un programa"),
        "event.admission-asked": ("asked for admission", "pidió la admisión"),
        "event.organisation-admitted": ("admitted an organisation", "admitió una organización"),
        "event.organisation-deactivated": ("deactivated an organisation", "desactivó una organización"),
        "event.practitioner-registered": ("registered a practitioner", "registró a un profesional"),
        "event.practitioner-key-rotated": (
            "a practitioner's key was replaced",
            "se cambió la clave de un profesional",
        ),
        "event.practitioner-signed": ("a practitioner signed", "un profesional firmó"),
        "event.practitioner-suspended": ("suspended a practitioner", "suspendió a un profesional"),
        "event.practitioner-reinstated": ("reinstated a practitioner", "readmitió a un profesional"),
        "event.practitioner-licensed": ("set a practitioner's licence", "fijó la licencia de un profesional"),
        "event.parameter-set": ("set a parameter of the ledger", "fijó un parámetro del libro"),
        "event.proposed": ("proposed to the network", "propuso a la red"),
        "event.voted": ("voted", "votó"),
        "event.ledger-adopted": ("adopted an embedded ledger", "adoptó un libro embebido"),
        "event.peer-admitted": ("admitted a peer", "admitió un nodo"),
        "event.peers-cut": ("cut peers off", "cortó nodos"),
    }
)
"""`event.WHAT` -> (English, Spanish), for each event that is recorded."""
