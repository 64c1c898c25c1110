/**
 * The log, on standard error, for the Gateway's own log.
 *
 * Baileys and libsignal hand whole stanzas, sessions and keys to their loggers. Of what they say only
 * the sentence is kept, and of an error its message and status code: no message body, no key. What
 * libraries print to the console is dropped for the same reason, and because standard output is ours.
 */

const LEVELS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, silent: 100 };
const LONGEST = 300;

/** Keep libraries off the console. Call it before anything else runs. */
export function silenceConsole() {
  for (const name of ["log", "info", "warn", "error", "debug", "trace", "dir"]) console[name] = () => {};
}

/** A logger as Baileys wants it. `level` is what its own chatter needs to be heard. */
export function makeLogger(level = "warn", write = (line) => process.stderr.write(line)) {
  const logger = { level, child: () => logger };
  for (const name of ["trace", "debug", "info", "warn", "error"]) {
    logger[name] = (first, second) => {
      if (LEVELS[name] < (LEVELS[logger.level] ?? LEVELS.warn)) return;
      write(`${name}: ${describe(first, second)}\n`);
    };
  }
  return logger;
}

function describe(first, second) {
  const sentence = typeof first === "string" ? first : typeof second === "string" ? second : "";
  const error = first instanceof Error ? first : [first?.err, first?.error].find((e) => e instanceof Error);
  const detail = error ? `${sentence ? ": " : ""}${errorWords(error)}` : "";
  return plain(`${sentence || (error ? "" : "(no words)")}${detail}`);
}

/** An error in words that are fit for a log and for the person in front of it. */
export function errorWords(error) {
  const status = error?.output?.statusCode;
  const text = plain(String(error?.message ?? error));
  return status && !text.includes(String(status)) ? `${text} (${status})` : text;
}

function plain(text) {
  return text
    .replace(/([?&](?:auth|token|hash|ccb|oh|oe)=)[^&\s"]+/g, "$1…")
    .replace(/\s+/g, " ")
    .slice(0, LONGEST);
}
