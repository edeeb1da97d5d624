"""Cues that several rules share: what is secret, what a conversation is, who is addressed, where to.

Folded lower-case English. Each is one alternation, or words with a bounded gap between them.
"""

from __future__ import annotations

from typing import Final

SECRET_PLACES: Final = (
    r"(?:~|\$home|/root|/home/\w{1,32})?/?\.ssh\b|\bid_(?:rsa|ed25519|ecdsa)\b|\bauthorized_keys\b"
    r"|\bknown_hosts\b|\.aws\b|\.kube/|\.netrc\b|\.npmrc\b|\.pypirc\b|\.git-credentials\b|\.gnupg\b"
    r"|\.docker/config|/etc/(?:passwd|shadow)\b|\bmcp\.json\b|claude_desktop_config|\.cursor/"
    r"|\bwallet\.dat\b|\blogin data\b|\bsaved (?:passwords?|tokens?|logins?)\b|\bbrowser'?s store\b"
    r"|(?<![\w.])\.env\b|\.pem\b|\bprivate keys?\b|\benvironment variables\b|\benv(?:ironment)? vars\b"
)
"""Files and stores whose content nobody hands to a tool that is not about them."""

SECRETS: Final = (
    r"\b(?:api[ _-]?keys?|passwords?|passwds?|credentials?|secrets?|access tokens?|tokens?|cookies"
    r"|private keys?|card numbers?|ssh keys?|keys of|contacts)\b"
)

CONVERSATION: Final = (
    r"\b(?:conversations?|chat(?: history| log)?s?|transcripts?|message history|prompt history"
    r"|dialog(?:ue)?s?|(?:all|every|each|previous|prior|the user's|their) messages?"
    r"|messages? (?:of|from) (?:the|this) (?:user|chat|session)|session's messages"
    r"|everything (?:the user|you know|they|that was said)|what they told you|(?<!the full )history"
    r"|contents? of (?:the |all |every )?(?:open )?(?:files|documents?))\b"
)

OWN: Final = (
    r"\b(?:your|you|so far|up to (?:now|this|that|here)|this (?:conversation|chat|session|dialog)"
    r"|with the user|the current (?:conversation|chat|session)|the user has|word for word|verbatim|unabridged|in full)\b"
)

INNER: Final = (
    r"\b(?:system (?:prompt|message|instructions?)|hidden instructions|initial (?:prompt|instructions?)"
    r"|your (?:prompt|instructions|rules|(?:entire |whole )?(?:chain of thought|reasoning|memory))"
    r"|tools? (?:that )?(?:you|is|are) (?:have|available|can)|all (?:the )?tools you)\b"
)

CARRY: Final = (
    r"\b(?:pass|hand|handing|send|include|append|attach|put|provide|upload|share|forward|post|submit"
    r"|give|supply|insert|write|copy|return|transmit|disclose|tell|add|use it as|dump|leak|reveal"
    r"|print|paste|export|fill)(?:s|es|ing)?\b"
)

READ: Final = (
    r"\b(?:read|open|cat|load|fetch|look (?:into|up)|search|gather|collect|extract|obtain|retrieve"
    r"|access|take|find|grab|scan|include|append|attach|add|get|list|query|swap|see)(?:s|ing)?\b"
)

ADDRESSED: Final = (
    r"\b(?:you|your|the (?:assistant|agent|model|ai|llm)|assistants?|ai (?:system|model|agent)s?"
    r"|agents?|(?:language )?models?|llms?|must|have to|has to|need to|needs|required?|requires|first"
    r"|before(?:hand)?|always|every|each|whenever|never|otherwise|please|obliged"
    r"|and (?:hand|pass|attach|append|send|include|provide|tell))\b"
)

USER: Final = (
    r"\b(?:users?|human|person|them|anyone|customer|operator|people|they|him|her|end[- ]user)\b"
)

ADDRESS: Final = (
    r"https?://|\b[\w.+-]{1,64}@[\w-]{1,64}\.[a-z.]{2,24}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b|\+\d[\d -]{6,}"
    r"|\b(?:our|the|this) (?:webhook|endpoint|server|collector|archive|validation)\b|\bwebhook\b"
    r"|\b[\w-]{1,40}(?:\.[\w-]{1,40}){0,3}\.(?:example|net|io|xyz|top|site|com)\b"
)

OTHER_TOOLS: Final = (
    r"\b(?:any|every|each|all|other|another|competing|different|the rest of the|no)"
    r"(?: (?:of the )?(?:other|available|competing|different|similar))?(?: [\w-]{1,20}){0,2} "
    r"(?:tools?|functions?|servers?|alternatives?)\b"
    r"|\b(?:the|any) (?:others|rest)\b|\b(?:gmail|outlook|official|built-?in|native)\b[^.]{0,20}\btools?\b"
)

REFUSED: Final = (
    r"\b(?:never|do(?:es)? not|don't|without|not)\b[^.]{0,24}\b(?:include|store|submit|persist|send|sav|pass"
    r"|shar|log|expos|return|requir|need|access)\w{0,3}\b"
)
"""What is not done is no order to do it."""

GUARDS: Final = (
    r"\b(?:detect|prevent|protect|guard|sanitiz|sanitis|redact|mask|block|scan for|check for|test)"
    r"\w{0,6}\b"
)
"""Tools that look for such texts speak of them as well."""
