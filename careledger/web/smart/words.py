"""The words of the pages, English and Spanish: one literal table. Patients read these: short, plain, no jargon."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from careledger.web.smart.event_words import EVENTS

WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        # every page
        "skip": ("Skip to the content", "Saltar al contenido"),
        "sign-out": ("Sign out", "Cerrar sesión"),
        "app": ("The record", "El historial"),
        "my-page": ("My page", "Mi página"),
        "desk": ("Accounts", "Cuentas"),
        "launcher": ("Launch an app", "Abrir una app"),
        "other-language": ("Español", "English"),
        "demo": ("The demo's people", "Las personas de la demostración"),
        "demo.text": (
            "Nothing here is real. Choose who you are; a real node asks for a passkey.",
            "Aquí nada es real. Elija quién es; un nodo real pide una llave de acceso.",
        ),
        "needs-script": (
            "This page needs JavaScript for your passkey. Please switch it on.",
            "Esta página necesita JavaScript para su llave de acceso. Por favor, actívelo.",
        ),
        "working": ("One moment …", "Un momento …"),
        "failed": (
            "That did not work. Nothing was changed. Please try again.",
            "No ha funcionado. No se ha cambiado nada. Inténtelo de nuevo.",
        ),
        "no-passkeys": (
            "This browser cannot use passkeys. Use a newer one, or your phone.",
            "Este navegador no admite llaves de acceso. Use otro más reciente, o su teléfono.",
        ),
        # signing in
        "sign-in": ("Sign in", "Iniciar sesión"),
        "sign-in.text": (
            "Use the passkey on your phone, computer or security key. There is no password.",
            "Use la llave de acceso de su teléfono, ordenador o llave de seguridad. No hay contraseña.",
        ),
        "sign-in.button": ("Sign in with a passkey", "Entrar con una llave de acceso"),
        "sign-in.provider": ("Sign in through my organisation", "Entrar a través de mi organización"),
        "sign-in.invited": ("I have an invitation", "Tengo una invitación"),
        "sign-in.lost": ("I lost my passkey", "He perdido mi llave de acceso"),
        # enrolling
        "enrol": ("Your invitation", "Su invitación"),
        "enrol.text": (
            "Type the code that your organisation gave you. It works once, for seven days.",
            "Escriba el código que le dio su organización. Sirve una vez, durante siete días.",
        ),
        "enrol.code": ("Code of the invitation", "Código de la invitación"),
        "continue": ("Continue", "Continuar"),
        "passkey": ("Your passkey", "Su llave de acceso"),
        "passkey.hello": ("This invitation is for", "Esta invitación es para"),
        "passkey.text": (
            "Your device now makes a key for you. You unlock it with your finger, your face or your PIN. Nobody else gets it.",
            "Su dispositivo crea ahora una llave para usted. La abre con su dedo, su cara o su PIN. Nadie más la recibe.",
        ),
        "passkey.button": ("Make my passkey", "Crear mi llave de acceso"),
        "passkey.not-me": ("This is not me", "No soy yo"),
        "kind.patient": ("patient", "paciente"),
        "kind.clinician": ("clinician", "profesional sanitario"),
        "kind.administrator": ("administrator", "administrador"),
        # the printed code
        "kit": ("Your recovery code", "Su código de recuperación"),
        "kit.text": (
            "If you lose your passkey, this code helps you back in, together with your guardian or your organisation. Print it or write it down; keep it at home.",
            "Si pierde su llave de acceso, este código le ayuda a volver a entrar, junto con su persona de confianza o su organización. Imprímalo o anótelo; guárdelo en casa.",
        ),
        "kit.button": ("Show me a new code", "Mostrar un código nuevo"),
        "kit.once": ("It is shown only now.", "Solo se muestra ahora."),
        "kit.rehearse": (
            "Now type it from your paper, to be sure that it is right:",
            "Ahora escríbalo desde su papel, para asegurarse de que está bien:",
        ),
        "kit.code": ("Your recovery code", "Su código de recuperación"),
        "kit.missing": (
            "You are not quite done: print your recovery code and type it back once. Without it you may lose your way in together with your passkey.",
            "Aún falta algo: imprima su código de recuperación y escríbalo una vez. Sin él, si pierde su llave de acceso puede perder también la entrada.",
        ),
        "kit.later": (
            "Not now; go on, and remind me when I sign in again",
            "Ahora no; continuar, y recordármelo cuando vuelva a entrar",
        ),
        # my page
        "me": ("My page", "Mi página"),
        "me.number": ("My number (a guardian needs it)", "Mi número (lo necesita una persona de confianza)"),
        "me.invited": (
            "This account was made on {date}, by an invitation of the organisation.",
            "Esta cuenta se creó el {date}, por una invitación de la organización.",
        ),
        "me.invited.one": (
            "This account was made on {date}, by an invitation of {by}.",
            "Esta cuenta se creó el {date}, por una invitación de {by}.",
        ),
        "me.invited.two": (
            "This account was made on {date}, by an invitation of {by}, approved by {second}.",
            "Esta cuenta se creó el {date}, por una invitación de {by}, aprobada por {second}.",
        ),
        "me.passkeys": ("My passkeys", "Mis llaves de acceso"),
        "me.passkeys.add": ("Add a passkey", "Añadir una llave de acceso"),
        "me.used": ("last used", "último uso"),
        "me.synced": ("copied by your provider", "copiada por su proveedor"),
        "remove": ("Remove", "Quitar"),
        "me.sessions": ("Where I am signed in", "Dónde he iniciado sesión"),
        "me.here": ("this browser", "este navegador"),
        "end": ("End", "Cerrar"),
        "me.end-all": ("End all others", "Cerrar todas las demás"),
        "me.apps": ("Apps that I allowed", "Apps que he permitido"),
        "me.no-apps": ("No app may use anything.", "Ninguna app puede usar nada."),
        "me.until": ("until", "hasta"),
        "withdraw": ("Withdraw", "Retirar"),
        "me.guardian": ("My guardian", "Mi persona de confianza"),
        "me.guardian.text": (
            "Somebody whom you trust, who can help you back in. They see nothing of yours.",
            "Alguien de confianza que puede ayudarle a volver a entrar. No ve nada suyo.",
        ),
        "me.guardian.number": ("Their number", "Número de esa persona"),
        "save": ("Save", "Guardar"),
        "me.wards": ("Whom I help back in", "A quién ayudo a volver a entrar"),
        "me.wards.text": (
            "Say yes only if this person has asked you, in person or on the phone.",
            "Diga que sí solo si esta persona se lo ha pedido, en persona o por teléfono.",
        ),
        "approve": ("Say yes", "Decir que sí"),
        # recovery
        "recover": ("Back in without a passkey", "Volver a entrar sin llave de acceso"),
        "recover.text": (
            "Two of three have to say yes: your printed code, your guardian, your organisation. Then a day goes by, and you make a new passkey with your ticket.",
            "Dos de tres tienen que decir que sí: su código impreso, su persona de confianza, su organización. Después pasa un día, y crea una llave nueva con su billete.",
        ),
        "recover.code": ("My printed code", "Mi código impreso"),
        "recover.ticket": ("My ticket", "Mi billete"),
        "recover.have-ticket": ("I have a ticket", "Tengo un billete"),
        "recover.your-ticket": (
            "Your ticket. Write it down; it is shown only now.",
            "Su billete. Anótelo; solo se muestra ahora.",
        ),
        "recover.counted": (
            "Your printed code counts. You have a ticket already.",
            "Su código impreso cuenta. Ya tiene un billete.",
        ),
        "recover.said-yes": ("said yes", "ha dicho que sí"),
        "recover.not-yet": ("not yet", "todavía no"),
        "recover.printed": ("Printed code", "Código impreso"),
        "recover.guardian": ("Guardian", "Persona de confianza"),
        "recover.organisation": ("Organisation", "Organización"),
        "recover.ready": ("Ready from", "Listo desde"),
        "recover.open": (
            "Somebody is recovering this account. If it is not you, stop it now.",
            "Alguien está recuperando esta cuenta. Si no es usted, deténgalo ahora.",
        ),
        "recover.stop": ("Stop it", "Detenerlo"),
        "recover.given": (
            "Give this ticket to the person, in person. It is shown only now.",
            "Entregue este billete a la persona, en persona. Solo se muestra ahora.",
        ),
        # consent
        "consent": ("An app asks", "Una app pregunta"),
        "consent.may": ("It may:", "Podrá:"),
        "consent.always": ("needed", "necesario"),
        "consent.how-long": ("How long?", "¿Cuánto tiempo?"),
        "consent.session": (
            "Until you sign out, at most 12 hours",
            "Hasta que cierre la sesión, como mucho 12 horas",
        ),
        "consent.later": (
            "You can withdraw this at any time on your page.",
            "Puede retirarlo en cualquier momento en su página.",
        ),
        "consent.allow": ("Allow what is ticked", "Permitir lo marcado"),
        "consent.sign": ("Allow what is ticked, and sign it", "Permitir lo marcado, y firmarlo"),
        "consent.sign.text": (
            "Signed with your passkey, these lines are kept in your record, and the ledger shows that they hold until you withdraw them.",
            "Firmadas con su llave, estas líneas quedan en su historial, y el registro muestra que valen hasta que las retire.",
        ),
        "consent.deny": ("Do not allow", "No permitir"),
        "consent.narrow": ("Take out what it shall not do.", "Desmarque lo que no deba hacer."),
        # choosing a patient
        "picker": ("Which patient?", "¿Qué paciente?"),
        "picker.search": ("Name", "Nombre"),
        "search": ("Search", "Buscar"),
        "picker.none": ("Nobody found whom you may see.", "No se ha encontrado a nadie a quien pueda ver."),
        "choose": ("Choose", "Elegir"),
        "picker.born": ("born", "nacido/a"),
        # launcher
        "launcher.text": (
            "Opens an app with a patient, as an electronic record does. For developers.",
            "Abre una app con un paciente, como hace una historia clínica electrónica. Para desarrolladores.",
        ),
        "launcher.client": ("App", "App"),
        "launcher.patient": ("Id of the patient", "Id del paciente"),
        "launcher.encounter": ("Id of the visit (may be empty)", "Id de la visita (puede estar vacío)"),
        "launcher.intent": ("Intent (may be empty)", "Intención (puede estar vacía)"),
        "launcher.none": ("No app has a launch address.", "Ninguna app tiene dirección de inicio."),
        "launch": ("Launch", "Abrir"),
        # administrators
        "desk.accounts": ("Accounts", "Cuentas"),
        "desk.invite": ("Invite somebody", "Invitar a alguien"),
        "desk.kind": ("As", "Como"),
        "desk.name": ("Name", "Nombre"),
        "desk.record": ("Id of their Patient or Practitioner", "Id de su Patient o Practitioner"),
        "desk.roles": ("Roles (with commas)", "Funciones (con comas)"),
        "desk.duties": ("Duties (administrators only)", "Tareas (solo administradores)"),
        "desk.duty.keys": ("keys", "claves"),
        "desk.duty.users": ("users", "usuarios"),
        "desk.duty.audit": ("audit", "auditoría"),
        "desk.code": (
            "Code of the invitation. Hand it to the person yourself, once you know who they are, and to nobody else; it is shown only now.",
            "Código de la invitación. Entréguelo usted a la persona, cuando sepa quién es, y a nadie más; solo se muestra ahora.",
        ),
        "desk.invitations": ("Invitations that wait", "Invitaciones pendientes"),
        "desk.requests": ("What needs a second person", "Lo que necesita una segunda persona"),
        "desk.request": ("Ask for it", "Solicitarlo"),
        "desk.act": ("What", "Qué"),
        "desk.subject": ("Whom or what (id)", "A quién o qué (id)"),
        "desk.reason": ("Why", "Por qué"),
        "desk.asked-by": ("asked by", "solicitado por"),
        "desk.approve": ("Approve", "Aprobar"),
        "desk.refuse": ("Refuse", "Rechazar"),
        "desk.disable": ("Disable", "Desactivar"),
        "desk.enable": ("Enable", "Activar"),
        "desk.disabled": ("disabled", "desactivada"),
        "act.invite-patient": ("Invite a patient", "Invitar a un paciente"),
        "act.invite-clinician": ("Invite a clinician", "Invitar a un profesional sanitario"),
        "act.invite-administrator": ("Invite an administrator", "Invitar a un administrador"),
        "act.disable-last-administrator": (
            "Disable the last administrator with a duty",
            "Desactivar al último administrador con una tarea",
        ),
        "act.approve-recovery": ("Say yes to a recovery", "Decir que sí a una recuperación"),
        "act.rotate-keys": ("New keys for ID tokens", "Claves nuevas para los tokens de identidad"),
        "desk.requested": (
            "Asked. Another administrator has to approve it.",
            "Solicitado. Otro administrador tiene que aprobarlo.",
        ),
        "desk.done": ("Done.", "Hecho."),
        # signing on the ledger
        "sign": ("Sign", "Firmar"),
        "sign.text": (
            "Write what you stand by. You then see exactly what is signed, and your passkey signs it on the ledger.",
            "Escriba lo que respalda. Después verá exactamente lo que se firma, y su llave de acceso lo firma en el registro.",
        ),
        "sign.statement": ("Statement", "Declaración"),
        "sign.look": ("Show me what I sign", "Mostrar lo que firmo"),
        "sign.no-did": (
            "Before you sign for the first time, one of your passkeys has to become your key on the ledger.",
            "Antes de firmar por primera vez, una de sus llaves de acceso tiene que ser su clave en el registro.",
        ),
        "sign.no-key": (
            "Another key signs for you on the ledger now. Choose the passkey that does so from now on.",
            "Ahora firma por usted otra clave en el registro. Elija la llave de acceso que firmará desde ahora.",
        ),
        "sign.choose": ("Your passkeys", "Sus llaves de acceso"),
        "sign.take": ("Use this one", "Usar esta"),
        "sign.none": (
            "None of your passkeys can sign on the ledger. Add another one on your page, on another device or browser.",
            "Ninguna de sus llaves de acceso puede firmar en el registro. Añada otra en su página, en otro dispositivo o navegador.",
        ),
        "sign.confirm": ("What you sign", "Lo que firma"),
        "sign.you-sign": ("This text, to the last character", "Este texto, hasta el último carácter"),
        "sign.hash": (
            "Its hash (SHA-256), which the ledger shows",
            "Su resumen (SHA-256), que muestra el registro",
        ),
        "sign.as": ("As", "Como"),
        "sign.public": (
            "Everybody who reads the ledger sees the hash, you (as the number above) and the time; nobody sees the text. It cannot be taken back.",
            "Quien lee el registro ve el resumen, a usted (con el número de arriba) y la hora; nadie ve el texto. No se puede retirar.",
        ),
        "sign.register": (
            "This passkey becomes your key on the ledger, where you stand as a number without a name. Nobody can take that back, but your organisation can suspend it.",
            "Esta llave de acceso será su clave en el registro, donde usted figura como un número sin nombre. Nadie puede retirarlo, pero su organización puede suspenderla.",
        ),
        "sign.rotate": (
            "This passkey signs for you from now on. The key that did so before never signs again.",
            "Esta llave de acceso firma por usted desde ahora. La clave anterior no vuelve a firmar.",
        ),
        "sign.button": ("Sign with my passkey", "Firmar con mi llave de acceso"),
        "signed": ("Signed", "Firmado"),
        "signed.block": ("This is on the ledger, in block", "Esto está en el registro, en el bloque"),
        "signed.keep": (
            "Keep this text to the last character, the salt included. Whoever has it can show what you signed, and when; here it is forgotten.",
            "Guarde este texto hasta el último carácter, incluida la sal. Quien lo tenga puede mostrar qué firmó usted, y cuándo; aquí se olvida.",
        ),
        "signed.next": ("Sign something else", "Firmar otra cosa"),
        # the house log
        "audit": ("Sign-ins and acts", "Accesos y actuaciones"),
        "audit.text": (
            "Who signed in, who was refused, what administrators did; newest first, in UTC. Nothing here can be changed, and reading it is in it too.",
            "Quién inició sesión, a quién se le denegó, qué hicieron los administradores; lo más reciente primero, en UTC. Aquí no se puede cambiar nada, y leerlo también consta.",
        ),
        "audit.when": ("When", "Cuándo"),
        "audit.who": ("Who", "Quién"),
        "audit.what": ("What", "Qué"),
        "audit.why": ("Why, or about what", "Por qué, o sobre qué"),
        "audit.nobody": ("nobody known", "nadie conocido"),
        "audit.operator": ("the operator (command line)", "el operador (línea de órdenes)"),
        "audit.older": ("Older", "Anteriores"),
        "audit.newest": ("Newest", "Más recientes"),
        **EVENTS,
        # deciding by passkey
        "decide": ("A key of your own", "Una llave propia"),
        "decide.text": (
            "With one of your passkeys you can sign who may see your record, and take it back. The organisation cannot sign for you.",
            "Con una de sus llaves de acceso puede firmar quién puede ver su historial, y retirarlo. La organización no puede firmar por usted.",
        ),
        "decide.enrol": ("Decide with this passkey", "Decidir con esta llave"),
        "decide.this-one": ("This passkey decides.", "Esta llave decide."),
        "decide.by-passkey": (
            "A passkey decides already. To change it you need that one, or its kit.",
            "Ya decide una llave de acceso. Para cambiarla necesita esa llave, o su código impreso.",
        ),
        "decide.by-key-file": (
            "A key file decides. To let a passkey follow it, run careledger patient follow with the number beside the passkey.",
            "Decide un archivo de clave. Para que le siga una llave, ejecute careledger patient follow con el número junto a la llave.",
        ),
        "decide.word": (
            "What careledger patient follow printed",
            "Lo que mostró careledger patient follow",
        ),
        "decide.kit-lost": (
            "Code of its kit, if you have lost that passkey",
            "Código impreso, si ha perdido esa llave",
        ),
        "decide.none": (
            "None of your passkeys can do this. Add one on a newer device.",
            "Ninguna de sus llaves puede hacerlo. Añada una en un dispositivo más nuevo.",
        ),
        "decide.kit": (
            "Write this down now; it is shown once. Whoever has it can replace this passkey, if it is lost, and open your sealed copies. It signs nothing else.",
            "Anótelo ahora; se muestra una sola vez. Quien lo tenga puede sustituir esta llave si se pierde, y abrir sus copias selladas. No firma nada más.",
        ),
        "copies": ("Sealed copies", "Copias selladas"),
        "copies.text": (
            "A sealed copy of your record opens with this passkey or its printed code alone, wherever it is kept. To make that possible, type the code in once; it stays in this browser.",
            "Una copia sellada de su historial solo se abre con esta llave o con su código impreso, esté donde esté. Para hacerlo posible, escriba el código una vez; no sale de este navegador.",
        ),
        "copies.ready": (
            "Ready: your sealed copies open with this passkey and with its printed code. They are under “Download and print”.",
            "Listo: sus copias selladas se abren con esta llave y con su código impreso. Están en «Descargar e imprimir».",
        ),
        "copies.kit": ("Code that was printed for this passkey", "Código que se imprimió para esta llave"),
        "copies.button": ("Make sealed copies possible", "Permitir copias selladas"),
        "copies.done": (
            "From now on you can download sealed copies.",
            "Desde ahora puede descargar copias selladas.",
        ),
        "copies.other-kit": (
            "This is not the code that was printed for this passkey.",
            "Este no es el código que se imprimió para esta llave.",
        ),
        "decide.done": ("From now on this passkey decides.", "Desde ahora decide esta llave."),
        "nothing": ("Nothing.", "Nada."),
        # errors
        "error": ("That is not possible", "No es posible"),
        "back": ("Back", "Volver"),
        "error.provider-refused": (
            "This sign-in was not accepted.",
            "Este inicio de sesión no se ha aceptado.",
        ),
        "error.provider-refused.hint": (
            "Try again, or use your passkey. Nothing was changed.",
            "Inténtelo de nuevo, o use su llave de acceso. No se ha cambiado nada.",
        ),
        "error.provider-not-linked": (
            "Your organisation knows you, but you have no account that belongs to it here. Your administrator can join the two; they need this:",
            "Su organización le conoce, pero aquí no tiene una cuenta unida a ella. Su administrador puede unirlas; necesita esto:",
        ),
        "error.provider-unavailable": (
            "Your organisation's sign-in does not answer now.",
            "El inicio de sesión de su organización no responde ahora.",
        ),
        "error.provider-unavailable.hint": (
            "Use your passkey, or try again in a minute.",
            "Use su llave de acceso, o inténtelo de nuevo en un minuto.",
        ),
        "error.passkey-refused": (
            "This passkey was not accepted.",
            "No se ha aceptado esta llave de acceso.",
        ),
        "error.passkey-refused.hint": (
            "Try again; if it goes on, ask your organisation for help.",
            "Inténtelo de nuevo; si continúa, pida ayuda a su organización.",
        ),
        "error.invitation-refused": ("This code does not hold.", "Este código no es válido."),
        "error.invitation-refused.hint": (
            "Check it letter by letter, or ask your organisation for a new one.",
            "Revíselo letra por letra, o pida otro a su organización.",
        ),
        "error.account-exists": (
            "This person has an account already.",
            "Esta persona ya tiene una cuenta.",
        ),
        "error.account-exists.hint": (
            "If the passkey is lost, start a recovery. Otherwise disable the account first.",
            "Si se perdió la llave de acceso, inicie una recuperación. Si no, desactive antes la cuenta.",
        ),
        "error.practitioner-suspended": (
            "Your organisation has suspended you. Until it ends that, nothing here is open to you.",
            "Su organización le ha suspendido. Mientras dure, aquí no tiene acceso a nada.",
        ),
        "error.practitioner-suspended.hint": ("Ask your organisation.", "Pregunte a su organización."),
        "error.practitioner-lapsed": (
            "Your licence has ended. Until your organisation renews it, nothing here is open to you.",
            "Su licencia ha terminado. Hasta que su organización la renueve, aquí no tiene acceso a nada.",
        ),
        "error.practitioner-lapsed.hint": ("Ask your organisation.", "Pregunte a su organización."),
        "error.practitioner-not-active": (
            "Your organisation does not have you as an active practitioner.",
            "Su organización no le tiene como profesional en activo.",
        ),
        "error.practitioner-not-active.hint": ("Ask your organisation.", "Pregunte a su organización."),
        "error.sequence-moved": (
            "Somebody else signed at the same moment. Nothing was changed.",
            "Otra persona firmó en el mismo momento. No se ha cambiado nada.",
        ),
        "error.sequence-moved.hint": ("Sign once more.", "Firme otra vez."),
        "error.signing-over": ("This took too long.", "Ha tardado demasiado."),
        "error.signing-over.hint": ("Begin again.", "Empiece de nuevo."),
        "error.recovery-refused": ("This code does not hold.", "Este código no es válido."),
        "error.recovery-refused.hint": (
            "Check it letter by letter, or ask your organisation for help.",
            "Revíselo letra por letra, o pida ayuda a su organización.",
        ),
        "error.recovery-waits": ("It is too early.", "Es demasiado pronto."),
        "error.recovery-waits.hint": (
            "A second yes is missing, or the day is not over. Come back with your ticket.",
            "Falta un segundo sí, o el día no ha pasado. Vuelva con su billete.",
        ),
        "error.too-many-tries": (
            "Too many wrong codes from here.",
            "Demasiados códigos erróneos desde aquí.",
        ),
        "error.not-from-our-page": ("This did not come from our page.", "Esto no venía de nuestra página."),
        "error.not-from-our-page.hint": (
            "Open the page again, then repeat.",
            "Abra la página de nuevo y repita.",
        ),
        "error.step-up-needed": (
            "This needs your passkey again.",
            "Esto necesita de nuevo su llave de acceso.",
        ),
        "error.step-up-needed.hint": (
            "Go back and confirm with your passkey.",
            "Vuelva y confirme con su llave de acceso.",
        ),
        "error.last-passkey": ("This is your only passkey.", "Es su única llave de acceso."),
        "error.last-passkey.hint": ("Add another one first.", "Añada otra primero."),
        "error.consent-changed": (
            "What is asked has changed since the page was shown.",
            "Lo que se pide ha cambiado desde que se mostró la página.",
        ),
        "error.consent-changed.hint": ("Read it again, then decide.", "Léalo de nuevo y decida."),
    }
)
"""Key -> (English, Spanish). `error.CODE` is what is said of an error with that code, `error.CODE.hint` what to do."""
