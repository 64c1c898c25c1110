"""The page's modules by themselves, inside a browser but without a Gateway."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.web.browser import Browser, BrowserTestCase

MAIN = "agent:main:main"
CONVERSATION = """
    const talk = new m.Conversation('agent:main:main');
    const view = () => talk.items().map((item) => ({
        key: item.key, state: item.state, error: item.error,
        parts: item.parts.map((p) => p.type === 'tool'
            ? `${p.name}:${p.state}:${p.result}` : `${p.type}:${p.text ?? ''}`),
    }));
    const chat = (state, text, more = {}) => talk.applyChat({
        runId: 'r', sessionKey: 'agent:main:main', state, ...more,
        ...(text === null ? {} : {message: {role: 'assistant', content: [{type: 'text', text}]}}),
    });
    const agent = (stream, data, runId = 'r') => talk.applyAgent({runId, stream, data});
    const user = (id, text) => ({role: 'user', content: text, idempotencyKey: `${id}:user`,
        __openclaw: {id: `m-${id}`, runId: id}});
    const answer = (id, text) => ({role: 'assistant', content: [{type: 'text', text}],
        __openclaw: {id: `a-${id}`, runId: id}});
    const history = (messages, more = {}) => talk.applyHistory({messages, ...more}, talk.mark());
    const write = (id, text) => talk.write({id, text, createdAt: 1});
"""
CREDENTIALS = """
    const {BrowserStorage} = await import('/storage.js');
    const {RequestError} = await import('/connection.js');
    const storage = new BrowserStorage(null);
    const c = new m.Credentials(storage);
    const no = (code, more = {}) => c.refused(new RequestError(
        {code: 'X', message: 'said', details: {code, ...more}}));
"""


class ModuleTests(BrowserTestCase):
    """Each test imports one module into an empty page."""

    def setUp(self) -> None:
        self.browser: Browser = self.new_browser()
        self.browser.open(self.serve_files() + "/style.css")

    def conversation(self, body: str) -> Any:
        return self.browser.module("/conversation.js", CONVERSATION + body)

    def credentials(self, body: str) -> Any:
        return self.browser.module("/credentials.js", CREDENTIALS + body)

    def test_texts_stand_around_tool_calls(self) -> None:
        """Text before a call, the call, text after it; the final text changes nothing."""
        items = self.conversation(
            """
            chat('delta', 'Let me look.');
            agent('tool', {phase: 'start', name: 'exec', toolCallId: '1', args: {a: 1}});
            agent('tool', {phase: 'update', toolCallId: '1',
                partialResult: {content: [{type: 'text', text: 'cr'}]}});
            agent('tool', {phase: 'result', toolCallId: '1',
                result: {content: [{type: 'text', text: 'crab'}]}});
            chat('delta', 'Let me look.\\n\\nIt is');
            chat('final', 'Let me look.\\n\\nIt is a crab.');
            return view();
            """
        )
        self.assertEqual(len(items), 1)
        self.assertEqual(
            items[0]["parts"], ["text:Let me look.", "exec:done:crab", "text:It is a crab."]
        )
        self.assertEqual(items[0]["state"], "done")

    def test_final_text_with_other_white_space(self) -> None:
        """A final text that joins the pieces in another way does not show them twice."""
        items = self.conversation(
            """
            chat('delta', 'One.');
            agent('tool', {phase: 'start', name: 'exec', toolCallId: '1'});
            agent('tool', {phase: 'result', toolCallId: '1', isError: true, result: 'no'});
            chat('final', ' One.\\nTwo.');
            return view();
            """
        )
        self.assertEqual(items[0]["parts"], ["text:One.", "exec:failed:no", "text:Two."])

    def test_text_counted_anew_after_a_tool(self) -> None:
        """A Gateway whose text begins again after a call loses nothing of the text before."""
        items = self.conversation(
            """
            chat('delta', 'One.', {deltaText: 'One.'});
            agent('tool', {phase: 'start', name: 'exec', toolCallId: '1'});
            chat('delta', 'Two', {deltaText: 'Two'});
            chat('delta', 'Two.', {deltaText: '.'});
            return view();
            """
        )
        self.assertEqual(items[0]["parts"], ["text:One.", "exec:running:", "text:Two."])

    def test_deltas_without_the_whole_text(self) -> None:
        """Where only the new text comes, it is added up; a replacement replaces."""
        items = self.conversation(
            """
            chat('delta', null, {deltaText: 'a'});
            chat('delta', null, {deltaText: 'b'});
            const added = view();
            chat('delta', null, {deltaText: 'new', replace: true});
            return [added[0].parts, view()[0].parts];
            """
        )
        self.assertEqual(items, [["text:ab"], ["text:new"]])

    def test_thoughts(self) -> None:
        """Thoughts are added up, before and after a text."""
        items = self.conversation(
            """
            agent('thinking', {text: 'hm', delta: 'hm'});
            agent('thinking', {text: 'hm, yes', delta: ', yes'});
            chat('delta', 'So.');
            agent('thinking', {text: 'hm, yes. More', delta: 'More'});
            return view();
            """
        )
        self.assertEqual(items[0]["parts"], ["thinking:hm, yes", "text:So.", "thinking:More"])

    def test_ends(self) -> None:
        """Abort keeps the text, an error brings its message, stragglers change nothing."""
        items = self.conversation(
            """
            chat('delta', 'half');
            agent('tool', {phase: 'start', name: 'exec', toolCallId: '1'});
            chat('aborted', 'half', {stopReason: 'rpc'});
            agent('tool', {phase: 'result', toolCallId: '1', result: 'late'});
            chat('delta', 'half and more');
            talk.applyChat({runId: 'e', state: 'error', errorMessage: 'no model'});
            return [view(), talk.activeRunId];
            """
        )
        views, active = items
        self.assertIsNone(active)
        self.assertEqual(views[0]["state"], "aborted")
        self.assertEqual(views[0]["parts"], ["text:half", "exec:failed:"])
        self.assertEqual((views[1]["state"], views[1]["error"]), ("error", "no model"))

    def test_history_takes_over(self) -> None:
        """What was written and answered here is shown once when history has it."""
        keys = self.conversation(
            """
            write('r', 'hello');
            talk.accepted('r');
            chat('final', 'answer');
            const before = view().map((item) => item.key);
            history([user('r', 'hello'), answer('r', 'answer')]);
            return [before, view().map((item) => item.key), view()[1].parts];
            """
        )
        self.assertEqual(keys, [["user:r", "run:r"], ["user:r", "run:r"], ["text:answer"]])

    def test_answers_follow_their_questions(self) -> None:
        """With several messages waiting, each answer stands after its own question."""
        keys = self.conversation(
            """
            for (const id of ['r', 's']) { write(id, id); talk.accepted(id); }
            chat('delta', 'first');
            history([user('r', 'r'), user('s', 's')], {inFlightRun: {runId: 'r', text: 'first'}});
            chat('delta', 'first answer');
            return view().map((item) => [item.key, item.state, ...item.parts]);
            """
        )
        self.assertEqual(
            keys,
            [
                ["user:r", "done", "text:r"],
                ["run:r", "streaming", "text:first answer"],
                ["user:s", "done", "text:s"],
                ["run:s", "waiting"],
            ],
        )

    def test_run_in_flight(self) -> None:
        """After a reload the text so far is shown, after what of it is stored already."""
        items = self.conversation(
            """
            history([user('r', 'go'), {role: 'assistant', __openclaw: {id: 'x', runId: 'r'},
                content: [{type: 'text', text: 'Let me look.'},
                    {type: 'toolCall', id: '1', name: 'exec', arguments: {}}]},
                {role: 'toolResult', toolCallId: '1', content: [{type: 'text', text: 'crab'}]}],
                {inFlightRun: {runId: 'r', text: 'Let me look.\\n\\nIt is'}});
            chat('delta', 'Let me look.\\n\\nIt is a');
            return view();
            """
        )
        self.assertEqual([item["key"] for item in items], ["user:r", "run:r"])
        self.assertEqual(items[1]["parts"], ["text:Let me look.", "exec:done:crab", "text:It is a"])

    def test_run_that_ended_unseen(self) -> None:
        """A run nobody knows of after a reconnect is over; a queued one is not."""
        views = self.conversation(
            """
            write('r', 'r');
            talk.accepted('r');
            chat('delta', 'half');
            talk.nextEpoch();
            history([user('r', 'r')], {inFlightRun: {runId: 'other', text: ''}});
            const queued = talk.activeRunId !== null;
            if (!history([user('r', 'r'), answer('r', 'whole')])) throw new Error('no doubt');
            const doubt = history([user('r', 'r'), answer('r', 'whole')]);
            return [queued, talk.activeRunId, view().map((item) => item.parts), doubt];
            """
        )
        self.assertTrue(views[0], "it may wait for its turn")
        self.assertEqual(views[1:], [None, [["text:r"], ["text:whole"]], False])

    def test_second_sending(self) -> None:
        """A message that history has already is not waited for when it is confirmed late."""
        states = self.conversation(
            """
            write('r', 'hello');
            history([user('r', 'hello'), answer('r', 'answer')]);
            talk.accepted('r');
            return [view().map((item) => item.state), talk.activeRunId];
            """
        )
        self.assertEqual(states, [["done", "done"], None])

    def test_older_pages(self) -> None:
        """An older page goes before the newer one; what is in both is shown once."""
        keys = self.conversation(
            """
            history([user('b', 'b'), answer('b', 'B')], {hasMore: true});
            talk.prependHistory({messages: [user('a', 'a'), answer('a', 'A'), user('b', 'b')],
                hasMore: false});
            history([user('b', 'b'), answer('b', 'B'), user('c', 'c')], {hasMore: true});
            const whole = view().map((item) => item.key);
            const hasMore = talk.hasMore;
            history([user('d', 'd')], {hasMore: true});
            return [whole, hasMore, view().map((item) => item.key), talk.hasMore];
            """
        )
        self.assertEqual(keys[:2], [["user:a", "run:a", "user:b", "run:b", "user:c"], False])
        self.assertEqual(keys[2:], [["user:d"], True], "a page that does not follow on")

    def test_credentials_in_order(self) -> None:
        """What was typed, else the device token, else what worked before, else nothing."""
        shown = self.credentials(
            """
            const shown = [c.next()];
            c.give('token', 't');
            shown.push(c.next());
            c.accepted({auth: {deviceToken: 'd'}});
            shown.push(c.next());
            storage.write('deviceToken', null);
            shown.push(c.next());
            return shown;
            """
        )
        self.assertEqual(shown, [{}, {"token": "t"}, {"deviceToken": "d"}, {"token": "t"}])

    def test_refusals(self) -> None:
        """Each refusal leads to its own next step."""
        verdicts = self.credentials(
            """
            c.next();
            const all = [no('AUTH_TOKEN_MISSING')];
            c.give('token', 'wrong');
            c.next();
            all.push(no('AUTH_TOKEN_MISMATCH'), storage.read('token'), no('AUTH_PASSWORD_MISSING'));
            storage.write('deviceToken', 'old');
            c.next();
            all.push(no('AUTH_DEVICE_TOKEN_MISMATCH'), storage.read('deviceToken'));
            c.give('token', 'right');
            c.next();
            all.push(no('PAIRING_REQUIRED', {requestId: 'r', deviceId: 'd'}));
            all.push(storage.read('token'));
            all.push(no('AUTH_RATE_LIMITED', {retryAfterMs: 1500}));
            all.push(no('CONTROL_UI_ORIGIN_NOT_ALLOWED'), no('OTHER'));
            return all;
            """
        )
        ask = {"kind": "ask", "secret": "token", "wrong": False}
        pairing = {"kind": "pairing", "requestId": "r", "deviceId": "d", "message": "said"}
        self.assertEqual(verdicts[0], ask)
        self.assertEqual(verdicts[1], {**ask, "wrong": True})
        self.assertIsNone(verdicts[2], "a wrong token must not be kept")
        self.assertEqual(verdicts[3]["secret"], "password")
        self.assertEqual(verdicts[4], {"kind": "retry"})
        self.assertIsNone(verdicts[5])
        self.assertEqual(verdicts[6], pairing)
        self.assertEqual(verdicts[7], "right", "the secret was right and is kept")
        self.assertEqual(verdicts[8], {"kind": "rateLimited", "retryAfterMs": 1500})
        self.assertEqual(verdicts[9], {"kind": "origin", "message": "said"})
        self.assertEqual(verdicts[10], {"kind": "other", "message": "said", "code": "OTHER"})

    def test_refusal_screens(self) -> None:
        """What a person must do is on the screen, and stays there while the page tries again."""
        texts = self.browser.module(
            "/gate.js",
            """
            const node = document.createElement('div');
            document.documentElement.append(node);
            const gate = new m.Gate(node, {onSecret: () => {}});
            const screens = [];
            for (const verdict of [
                {kind: 'pairing', requestId: 'req-1', deviceId: 'abcdef', message: ''},
                {kind: 'rateLimited', retryAfterMs: 2500},
                {kind: 'origin', message: ''},
                {kind: 'other', message: 'The reason.', code: 'X'},
            ]) {
                gate.refused(verdict);
                const card = node.firstChild;
                gate.connecting();
                gate.refused(verdict);
                screens.push(card === node.firstChild ? node.textContent : 'drawn again');
            }
            return screens;
            """,
        )
        self.assertIn("clawgw devices approve req-1", texts[0])
        self.assertIn("3 seconds", texts[1])
        self.assertIn("gateway.controlUi.allowedOrigins", texts[2])
        self.assertIn("The reason.", texts[3])

    def test_outbox(self) -> None:
        """One key per message, kept over a loss and a reload; an old one waits for the person."""
        result = self.browser.module(
            "/outbox.js",
            """
            const {BrowserStorage} = await import('/storage.js');
            const {ConnectionLost, RequestError} = await import('/connection.js');
            const storage = new BrowserStorage(null);
            const sent = [];
            const outcomes = [];
            let fail = new ConnectionLost('gone');
            const request = async (method, params) => {
                sent.push(params);
                if (fail) throw fail;
            };
            const make = () => new m.Outbox(storage, request, (entry, o) => outcomes.push(o));
            make().add('agent:main:main', 'hello');
            await make().flush();
            fail = null;
            const later = make();
            await later.flush();
            const keys = new Set(sent.map((params) => params.idempotencyKey));
            fail = new RequestError({code: 'INVALID_REQUEST', message: 'too long'});
            later.add('agent:main:main', 'refused');
            await later.flush();
            fail = null;
            await later.flush();
            const afterRefusal = sent.length;
            later.retry([...later.entries.keys()][0]);
            await later.flush();
            const old = {id: 'x', sessionKey: 's', text: 'old', createdAt: Date.now() - 3600e3};
            storage.write('outbox.x', JSON.stringify(old));
            const aged = make();
            await aged.flush();
            return {keys: keys.size, texts: sent.map((p) => p.message), afterRefusal, outcomes,
                left: aged.of('s').map((e) => e.error), names: storage.names('outbox.')};
            """,
        )
        self.assertEqual(result["keys"], 1)
        self.assertEqual(result["texts"], ["hello", "hello", "refused", "refused"])
        self.assertEqual(result["afterRefusal"], 3, "a refused message is not sent by itself")
        self.assertEqual(
            result["outcomes"],
            [
                {"kind": "accepted"},
                {"kind": "rejected", "error": "too long"},
                {"kind": "accepted"},
            ],
        )
        self.assertEqual(len(result["left"]), 1)
        self.assertTrue(result["left"][0])
        self.assertEqual(result["names"], ["outbox.x"])

    def test_notes(self) -> None:
        """What somebody put into the transcript stands by itself, beside the agent's answers."""
        items = self.conversation(
            """
            const note = {role: 'assistant', content: 'note', stopReason: 'injected',
                __openclaw: {id: 'n'}};
            history([user('a', 'a'), answer('a', 'A'), note, answer('b', 'B')]);
            return view().map((item) => item.parts);
            """
        )
        self.assertEqual(items, [["text:a"], ["text:A"], ["text:note"], ["text:B"]])

    def test_plans(self) -> None:
        """A plan is updated in place, and stays when history, which has none, takes over."""
        items = self.conversation(
            """
            agent('plan', {entries: [{content: 'Read', status: 'pending'}]});
            agent('plan', {entries: [{content: 'Read', status: 'completed'}]});
            chat('final', 'Done.');
            history([user('r', 'go'), answer('r', 'Done.')]);
            return talk.items()[1].parts;
            """
        )
        plan = {"type": "plan", "entries": [{"content": "Read", "status": "completed"}]}
        self.assertEqual(items, [plan, {"type": "text", "text": "Done."}])

    def test_approvals(self) -> None:
        """A question shows everything as text, names a failure, and says who decided."""
        result = self.browser.module(
            "/approvals.js",
            """
            const node = document.createElement('div');
            const decided = [];
            let fail = true;
            const cards = new m.Approvals(node, async (id, decision) => {
                decided.push([id, decision]);
                if (fail) throw new Error('no such approval');
            }, async (nodeId) => (nodeId === 'n'.repeat(64) ? '<b>Desk</b>' : undefined), 50);
            const request = {command: 'rm -rf <b>build</b>', cwd: '/srv', host: 'gateway',
                agentId: 'main', sessionKey: 'agent:main:main', warningText: '<i>careful</i>',
                allowedDecisions: ['allow-once', 'deny']};
            const expiresAtMs = Date.now() + 60000;
            cards.ask({id: 'a', request, expiresAtMs});
            cards.ask({id: 'a', request, expiresAtMs});
            cards.ask({id: 'late', request, expiresAtMs: Date.now() - 60000});
            const text = node.querySelector('pre').textContent;
            const factsOf = () =>
                [...node.querySelectorAll('dd')].map((fact) => fact.textContent);
            const facts = factsOf();
            const labels = [...node.querySelectorAll('button')].map((b) => b.textContent);
            const left = node.querySelector('[role=timer]').textContent;
            const press = async (label) => {
                [...node.querySelectorAll('button')].find((b) => b.textContent === label).click();
                await new Promise((resolve) => setTimeout(resolve, 0));
            };
            const said = () => node.querySelector('[role=alert]').textContent;
            await press('Deny');
            const complaint = said();
            const open = node.children.length;
            fail = false;
            await press('Allow once');
            const own = said();
            await new Promise((resolve) => setTimeout(resolve, 200));
            const gone = node.children.length === 0;
            const places = [];
            for (const nodeId of ['n'.repeat(64), 'unknown']) {
                cards.ask({id: 'n', request: {command: 'ls', host: 'node', nodeId}, expiresAtMs});
                await new Promise((resolve) => setTimeout(resolve, 0));
                places.push(...factsOf());
                cards.clear();
            }
            const verdicts = [];
            for (const verdict of [{decision: 'allow-always', resolvedBy: 'Anna', reason: 'user'},
                {decision: 'deny', resolvedBy: null, reason: 'timeout'},
                {decision: 'deny', resolvedBy: null, reason: 'gateway-restart'}]) {
                cards.ask({id: 'b', request, expiresAtMs});
                cards.decided({id: 'b', ...verdict});
                cards.decided({id: 'b', decision: 'deny', resolvedBy: 'Bob'});
                verdicts.push(said());
                cards.clear();
            }
            return {text, facts, places, labels, left, complaint, open, own, gone, verdicts,
                decided, markup: node.querySelectorAll('b, i').length};
            """,
        )
        self.assertEqual(result["text"], "rm -rf <b>build</b>")
        self.assertEqual(result["facts"], ["/srv", "main", "agent:main:main"])
        self.assertEqual(result["places"], ["<b>Desk</b> (nnnnnnnnnnnn)", "unknown"])
        self.assertEqual(result["labels"], ["Deny", "Allow once"])
        self.assertRegex(result["left"], r"^(1:00|0:5\d) left$")
        self.assertEqual(result["complaint"], "no such approval")
        self.assertEqual((result["open"], result["gone"]), (1, True))
        self.assertEqual(result["own"], "Allowed once by you.")
        self.assertEqual(
            result["verdicts"],
            [
                "Always allowed by Anna.",
                "Denied: nobody decided in time.",
                "Denied: the Gateway was restarted.",
            ],
        )
        self.assertEqual(result["decided"], [["a", "deny"], ["a", "allow-once"]])
        self.assertEqual(result["markup"], 0)

    def test_an_approval_hides_nothing(self) -> None:
        """Letters nobody sees are written out, and variables that are set are named."""
        result = self.browser.module(
            "/approvals.js",
            """
            const node = document.createElement('div');
            const cards = new m.Approvals(node, async () => {});
            const command = 'ls\\n\\u202etxt.\\u2066; rm\\u200b x\\u0000';
            const request = {command, cwd: '/a\\u202eb',
                envKeys: ['GIT_DIR', 'LANG'], agentId: 'main'};
            cards.ask({id: 'a', request, expiresAtMs: Date.now() + 60000});
            const facts = [...node.querySelectorAll('dt')].map(
                (term) => [term.textContent, term.nextSibling.textContent]);
            const text = node.querySelector('pre').textContent;
            cards.clear();
            return {text, facts};
            """,
        )
        self.assertEqual(result["text"], "ls\n\\u{202e}txt.\\u{2066}; rm\\u{200b} x\\u{0}")
        self.assertEqual(
            result["facts"],
            [
                ["Directory", "/a\\u{202e}b"],
                ["With variables", "GIT_DIR, LANG"],
                ["Agent", "main"],
            ],
        )

    def test_device_key(self) -> None:
        """The key is made once, stays in the browser, and signs what the Gateway verifies."""
        script = """
            const one = await m.loadIdentity();
            const two = await m.loadIdentity();
            const claim = {clientId: 'webchat-ui', clientMode: 'webchat', role: 'operator',
                scopes: ['a', 'b'], token: 't', nonce: 'n'};
            const device = await one.sign(claim, 1234);
            let exported = 'exported';
            try { await crypto.subtle.exportKey('pkcs8', one.privateKey); }
            catch (error) { exported = error.name; }
            return {same: one.id === two.id, device, exported};
        """
        result = self.browser.module("/identity.js", script)
        self.assertTrue(result["same"])
        self.assertEqual(result["exported"], "InvalidAccessError")
        self._verify(result["device"])

    def _verify(self, device: dict[str, Any]) -> None:
        raw = base64.urlsafe_b64decode(device["publicKey"] + "=")
        self.assertEqual(hashlib.sha256(raw).hexdigest(), device["id"])
        text = f"v2|{device['id']}|webchat-ui|webchat|operator|a,b|1234|t|n"
        signature = base64.urlsafe_b64decode(device["signature"] + "==")
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, text.encode())


class InsecureAddressTests(BrowserTestCase):
    """The page on an address where browsers give no keys to pages."""

    def test_says_what_to_do(self) -> None:
        """It names https and the tunnel, and does not try to connect."""
        port = self.serve_files().rsplit(":", 1)[1]
        browser = self.new_browser("--host-resolver-rules=MAP gateway.test 127.0.0.1")
        browser.open(f"http://gateway.test:{port}/index.html")
        browser.wait_text("#gate", "This page needs a secure address")
        self.assertIn("https", browser.text("#gate"))
        self.assertIn("ssh -N -L 18789:127.0.0.1:18789 user@host", browser.text("#gate"))
