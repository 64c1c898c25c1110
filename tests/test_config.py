"""The configuration file: read forgivingly, checked strictly, never shown."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from clawgw.config import (
    Config,
    ConfigError,
    config_schema,
    default_state_dir,
    ensure_state_dir,
    first_of,
    load_config,
    parse_config,
    strip_comments,
)

SECRET = "correct-horse-battery"

json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(), st.sampled_from(["//", "/*", ",]", '"'])
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=12,
)
noise = st.sampled_from(["", " ", "\n", "// x ] } , \" '\n", '/* ,] " */', "/**/", "//\n"])


class Comments(SynchronousTestCase):
    """JSON as people write it."""

    def test_what_goes_and_what_stays(self) -> None:
        table: list[tuple[str, Any]] = [
            ('{"a": 1} // end', {"a": 1}),
            ('// first\n{"a": 1,}', {"a": 1}),
            ('{"a": /* here */ [1, 2, /* and */ ], }', {"a": [1, 2]}),
            ('{"a": [1,2,// x\n// y\n],\n/* z */\n}', {"a": [1, 2]}),
            ('{"a": "http://x/*y*/,]"}', {"a": "http://x/*y*/,]"}),
            (r'{"a": "\"// no", "b": "\\"}', {"a": '"// no', "b": "\\"}),
            ('{"a": "/*", "b": "*/"}', {"a": "/*", "b": "*/"}),
            ('{"a": ",}"}', {"a": ",}"}),
            ("/* ** / */ [] /***/", []),
        ]
        for text, value in table:
            self.assertEqual(json.loads(strip_comments(text)), value, text)

    def test_lines_are_kept_so_that_errors_are_found(self) -> None:
        text = '{\n// one\n/* two\nthree */\n"a": [1,\n\n],\n}'
        self.assertEqual(strip_comments(text).count("\n"), text.count("\n"))

    def test_what_is_not_forgiven(self) -> None:
        for text in ("[1,,]", "{'a': 1}", "{a: 1}", "[1 2]", "/* open", "{", '"'):
            problem = self.assertRaises(ConfigError, parse_config, text, "file.json")
            self.assertTrue(str(problem).startswith("file.json is not JSON: "), str(problem))

    def test_the_line_is_named(self) -> None:
        for text, says in (
            ('{\n  "a": 1,\n  "b": 2\n  "c": 3\n}', "line 4: Expecting ',' delimiter"),
            ("\n\n/* one\ntwo */ {\n'a': 1}", "line 5: Expecting property name"),
            ('{\n"a": {\n', "line 3: "),
            ('{"a": NaN}', ""),
            ('{"a": "\\ud800"}', ""),
        ):
            problem = str(self.assertRaises(ConfigError, parse_config, text, "file.json"))
            self.assertIn(f"file.json is not JSON: {says}", problem)

    def test_a_row_of_slashes_takes_no_time(self) -> None:
        start = time.process_time()
        for decoration in ("/" * 20_000, "// " * 5_000, "/**/ " * 5_000, "/* " * 1_000):
            strip_comments('{"a": 1,\n' + decoration + '\n"b": 2}')
        self.assertLess(time.process_time() - start, 5)

    def test_nothing_but_comments_is_the_defaults(self) -> None:
        for text in ("", "  \n", "// nothing yet\n", "/* */", "{}"):
            self.assertEqual(parse_config(text), Config())

    @settings(max_examples=300)
    @given(json_values, noise, noise, noise)
    def test_any_value_in_any_noise(self, value: Any, before: str, comma: str, end: str) -> None:
        text = f"{before}[{comma}{json.dumps(value)}{comma},{end}]{before}"
        self.assertEqual(json.loads(strip_comments(text)), [value])

    @given(json_values)
    def test_plain_json_stays_as_it_is(self, value: Any) -> None:
        for text in (json.dumps(value), json.dumps(value, indent=2, ensure_ascii=False)):
            self.assertEqual(strip_comments(text), text)

    @given(st.text(alphabet='"/*,]}\\ \n{[a'))
    def test_no_text_breaks_it(self, text: str) -> None:
        strip_comments(text)


class Mistakes(SynchronousTestCase):
    """Errors name the file and the path, and nothing secret."""

    def wrong(self, value: Any, *says: str) -> None:
        problem = str(
            self.assertRaises(ConfigError, parse_config, json.dumps(value), "/etc/clawgw.json")
        )
        self.assertTrue(problem.startswith("/etc/clawgw.json: "), problem)
        for words in says:
            self.assertIn(words, problem)
        self.assertNotIn(SECRET, problem)

    def test_each_is_named(self) -> None:
        table: list[tuple[Any, str]] = [
            ({"gatewey": {}}, "gatewey"),
            ({"gateway": {"prot": 1}}, "prot"),
            ({"gateway": []}, "gateway"),
            ({"gateway": {"port": "18789"}}, "gateway/port"),
            ({"gateway": {"port": -1}}, "gateway/port"),
            ({"gateway": {"port": 65536}}, "gateway/port"),
            ({"gateway": {"port": True}}, "gateway/port"),
            ({"gateway": {"bind": ""}}, "gateway/bind"),
            ({"gateway": {"mode": "both"}}, "gateway/mode"),
            ({"gateway": {"auth": {"mode": "trust"}}}, "gateway/auth/mode"),
            ({"gateway": {"auth": {"token": ""}}}, "gateway/auth/token"),
            ({"gateway": {"auth": {"rateLimit": {"maxAttempts": 0}}}}, "rateLimit/maxAttempts"),
            ({"gateway": {"auth": {"rate_limit": {}}}}, "rate_limit"),
            ({"gateway": {"tls": {"enabled": "yes"}}}, "gateway/tls/enabled"),
            ({"gateway": {"tls": {"clientAuth": "on"}}}, "gateway/tls/clientAuth"),
            ({"gateway": {"trustedProxies": "127.0.0.1"}}, "gateway/trustedProxies"),
            ({"gateway": {"controlUi": {"allowedOrigins": [1]}}}, "allowedOrigins/0"),
            ({"agents": {"list": [{"id": "a"}, {"id": "B c"}]}}, "agents/list/1/id"),
            ({"agents": {"list": [{}]}}, "agents/list/0"),
            ({"agents": {"list": [{"id": "a", "command": []}]}}, "agents/list/0/command"),
            ({"agents": {"list": [{"id": "a", "env": {"A": 1}}]}}, "agents/list/0/env/A"),
            ({"agents": {"defaults": {"model": {"primary": "gpt"}}}}, "model"),
            ({"session": {"mainKey": "a b"}}, "session/mainKey"),
            (None, ""),
            ([], ""),
            (1, ""),
        ]
        for value, path in table:
            with self.subTest(value=value):
                self.wrong(value, path)

    def test_a_proxy_and_a_page_that_can_be_nobodys(self) -> None:
        for text in ("x", "10.0.0.0/33", "proxy.example", "*"):
            proxies = {"trustedProxies": ["127.0.0.1", text]}
            self.wrong({"gateway": proxies}, "gateway.trustedProxies[1]: expected an IP address")
        for text in ("x", "*", "chat.example", "https://chat.example/page", "https://*.example"):
            origins = {"allowedOrigins": ["https://chat.example", text]}
            says = "gateway.controlUi.allowedOrigins[1]: expected a page's scheme, host and port"
            self.wrong({"gateway": {"controlUi": origins}}, says)

    def test_proxies_and_pages_of_all_kinds(self) -> None:
        pages = ("https://chat.example", "http://[::1]:8080/", "chrome-extension://abc", "null")
        proxies = ("192.0.2.1", "10.0.0.7/8", "::1", "fd00::/8")
        gateway = {"controlUi": {"allowedOrigins": pages}, "trustedProxies": proxies}
        parsed = parse_config(json.dumps({"gateway": gateway})).gateway
        self.assertEqual(parsed.control_ui.allowed_origins, pages)
        self.assertEqual(parsed.trusted_proxies, proxies)

    def test_several_at_once(self) -> None:
        self.wrong({"gateway": {"port": "x", "bind": 1}, "extra": 1}, "port", "bind", "extra")

    def test_no_secret_in_them(self) -> None:
        for value in (
            {"gateway": {"auth": {"token": [SECRET]}}},
            {"gateway": {"auth": {"token": {"value": SECRET}}}},
            {"gateway": {"auth": {"mode": SECRET}}},
            {"gateway": {"auth": SECRET}},
            {"gateway": {"port": SECRET}},
            {"gateway": {"remote": {"token": 1, "password": SECRET}}},
            {"models": {"providers": {"x": {"apiKey": [SECRET]}}}},
            {"models": {"providers": {"x": {"api": SECRET}}}},
            {"agents": {"list": [{"id": SECRET.upper()}]}},
            {"session": {"mainKey": f"{SECRET} {SECRET}"}},
        ):
            self.wrong(value)
        for text in (f'{{"gateway": {{"auth": {{"token": "{SECRET}" "x"', f'"{SECRET}'):
            problem = self.assertRaises(ConfigError, parse_config, text)
            self.assertNotIn(SECRET, str(problem))

    def test_no_secret_in_any_repr(self) -> None:
        config = parse_config(
            json.dumps(
                {
                    "gateway": {
                        "auth": {"token": SECRET, "password": SECRET},
                        "remote": {"token": SECRET, "password": SECRET},
                    },
                    "models": {"providers": {"x": {"apiKey": SECRET}}},
                    "agents": {"list": [{"id": "a", "env": {"KEY": SECRET}}]},
                }
            )
        )
        self.assertEqual(config.gateway.auth.token, SECRET)
        self.assertNotIn(SECRET, repr(config))

    def test_agents_that_cannot_be_told_apart(self) -> None:
        self.wrong({"agents": {"list": [{"id": "a"}, {"id": "b"}, {"id": "a"}]}}, "'a' twice")
        both = [{"id": "a", "default": True}, {"id": "b", "default": True}]
        self.wrong({"agents": {"list": both}}, "more than one entry with default")

    def test_nothing_is_too_deep(self) -> None:
        problem = self.assertRaises(ConfigError, parse_config, "[" * 100_000, "f")
        self.assertIn("f is not JSON", str(problem))

    @settings(max_examples=200)
    @given(json_values)
    def test_any_json_is_a_configuration_or_an_error(self, value: Any) -> None:
        try:
            config = parse_config(json.dumps(value))
        except ConfigError:
            return
        self.assertIsInstance(config, Config)


class ChannelSections(SynchronousTestCase):
    """`channels`, `bindings` and `session.dmScope`."""

    def parse(self, **value: Any) -> Config:
        return parse_config(json.dumps(value), "f")

    def accounts(self, **telegram: Any) -> dict[str, Any]:
        section = self.parse(channels={"telegram": telegram}).channels.telegram
        assert section is not None
        return section.accounts

    def wrong(self, says: str, **value: Any) -> None:
        problem = str(self.assertRaises(ConfigError, self.parse, **value))
        self.assertIn(says, problem)
        self.assertNotIn(SECRET, problem)

    def test_a_host_has_one_whatsapp_session(self) -> None:
        two = {"home": {}, "work": {}}
        self.wrong("one WhatsApp session", channels={"whatsapp": {"accounts": two}})
        two["work"]["enabled"] = False
        self.parse(channels={"whatsapp": {"accounts": two}})

    def test_an_account_says_the_rest_and_the_channel_what_is_common(self) -> None:
        accounts = self.accounts(
            dmPolicy="allowlist", allowFrom=["1"], mediaMaxMb=7,
            accounts={
                "work": {"botToken": "2:b", "allowFrom": ["2"]},
                "play": {"botToken": "3:c", "dmPolicy": "pairing"},
            },
        )  # fmt: skip
        work, play = accounts["work"], accounts["play"]
        self.assertEqual((work.dm_policy, work.allow_from), ("allowlist", ("2",)))
        self.assertEqual((play.dm_policy, play.allow_from), ("pairing", ("1",)))
        self.assertEqual((work.media_max_mb, work.bot_token, play.bot_token), (7, "2:b", "3:c"))

    def test_secrets_belong_to_one_account(self) -> None:
        accounts = self.accounts(
            botToken=SECRET, name="First", accounts={"default": {}, "work": {"mediaMaxMb": 7}}
        )
        self.assertEqual((accounts["default"].bot_token, accounts["default"].name),
                         (SECRET, "First"))  # fmt: skip
        self.assertEqual((accounts["work"].bot_token, accounts["work"].name), (None, None))
        self.assertNotIn(SECRET, repr(accounts))

    def test_a_login_is_one_accounts_too(self) -> None:
        whatsapp = {"authDir": "/a", "accounts": {"default": {}, "second": {"enabled": False}}}
        section = self.parse(channels={"whatsapp": whatsapp}).channels.whatsapp
        assert section is not None
        found = {name: account.auth_dir for name, account in section.accounts.items()}
        self.assertEqual(found, {"default": "/a", "second": None})

    def test_a_secret_that_is_no_accounts(self) -> None:
        telegram = {"botToken": SECRET, "accounts": {"work": {"botToken": "2:b"}}}
        self.wrong(
            "channels.telegram.botToken belongs to the account 'default', which accounts does "
            "not have",
            channels={"telegram": telegram},
        )

    def test_names_of_accounts(self) -> None:
        for name in ("work", "Work-2", "a.b_c", "x" * 64, "4912345"):
            self.assertIn(name, self.accounts(accounts={name: {}}))
        for name in ("..", ".hidden", "a/b", "../../x", "", "a b", "x" * 65, "a\0b"):
            self.wrong("is no name for an account", channels={"telegram": {"accounts": {name: {}}}})

    def test_what_an_account_cannot_be_told(self) -> None:
        self.wrong("/channels/telegram/dmPolicy", channels={"telegram": {"dmPolicy": "everybody"}})
        self.wrong(
            "/channels/telegram/accounts/a", channels={"telegram": {"accounts": {"a": {"x": 1}}}}
        )
        self.wrong("/channels", channels={"icq": {}})

    def test_odd_sections_are_errors_and_no_tracebacks(self) -> None:
        for section in ([], 1, "x", {"accounts": []}, {"accounts": {"a": 1}}):
            self.wrong("at /channels/telegram", channels={"telegram": section})
        self.assertIsNone(self.parse(channels={"telegram": None}).channels.telegram)
        self.assertEqual(self.accounts(accounts={}), {})

    def test_bindings(self) -> None:
        agents = {"list": [{"id": "main"}, {"id": "work"}]}
        match = {"channel": "telegram", "peer": {"kind": "dm", "id": "7"}}
        config = self.parse(agents=agents, bindings=[{"agentId": "work", "match": match}])
        self.assertEqual(config.bindings[0].match.peer.id, "7")
        for says, binding in (
            ("bindings[0].agentId: there is no agent 'nobody'",
             {"agentId": "nobody", "match": match}),
            ("/bindings/0/match/channel: must be ",
             {"agentId": "work", "match": {"channel": "icq"}}),
            ("match", {"agentId": "work"}),
        ):  # fmt: skip
            self.wrong(says, agents=agents, bindings=[binding])

    def test_a_binding_to_what_is_no_channel(self) -> None:
        for name in ("media_days", "mediaDays", "allow_private_media_urls"):
            binding = {"agentId": "main", "match": {"channel": name}}
            self.wrong("/bindings/0/match/channel: must be ", bindings=[binding])

    def test_who_shares_a_session(self) -> None:
        self.assertEqual(self.parse().session.dm_scope, "main")
        scope = "per-channel-peer"
        self.assertEqual(self.parse(session={"dmScope": scope}).session.dm_scope, scope)
        self.wrong("dmScope", session={"dmScope": "everybody"})


class Files(SynchronousTestCase):
    """Where it is read from, and where state goes."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def test_no_file(self) -> None:
        self.assertEqual(load_config(None), Config())
        self.assertEqual(load_config(self.directory / "none.json"), Config())

    def test_a_file(self) -> None:
        path = self.directory / "config.json"
        path.write_text('{"gateway": {"port": 1, "bind": "lan"}} // mine')
        self.assertEqual(load_config(path).gateway.port, 1)

    def test_a_file_that_cannot_be_read(self) -> None:
        binary = self.directory / "binary.json"
        binary.write_bytes(b"\xff\xfe{}")
        for path in (self.directory, binary):
            problem = self.assertRaises(ConfigError, load_config, path)
            self.assertIn(f"cannot read {path}: ", str(problem))
            self.assertNotIn("Errno", str(problem))

    def test_the_state_directory_is_its_owners_only(self) -> None:
        made = self.directory / "a" / "b"
        open_one = self.directory / "open"
        open_one.mkdir()
        open_one.chmod(0o755)
        for path in (made, open_one):
            ensure_state_dir(path)
            ensure_state_dir(path)
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o700)

    def test_a_state_directory_that_cannot_be(self) -> None:
        file = self.directory / "file"
        file.write_text("")
        for path in (file, file / "below"):
            problem = self.assertRaises(ConfigError, ensure_state_dir, path)
            self.assertIn(f"cannot use the state directory {path}: ", str(problem))
            self.assertNotIn("Errno", str(problem))

    def test_a_state_directory_of_somebody_else(self) -> None:
        self.patch(os, "access", lambda *_: False)
        problem = self.assertRaises(ConfigError, ensure_state_dir, self.directory)
        self.assertIn("not writable", str(problem))

    def test_where_it_is(self) -> None:
        self.assertEqual(default_state_dir({}), Path.home() / ".clawgw")
        self.assertEqual(default_state_dir({"CLAWGW_STATE_DIR": "/x/y"}), Path("/x/y"))
        self.assertEqual(default_state_dir({"CLAWGW_STATE_DIR": "~/z"}), Path.home() / "z")

    def test_the_first_variable_that_says_something(self) -> None:
        environ = {"A": "", "B": "b", "C": "c"}
        self.assertEqual(first_of(environ, ["A", "B", "C"]), "b")
        self.assertIsNone(first_of(environ, ["A", "D"]))

    def test_the_schema_knows_every_section(self) -> None:
        text = json.dumps(config_schema())
        for name in ("trustedProxies", "rateLimit", "clientFingerprints", "mainKey", "providers"):
            self.assertIn(name, text)
