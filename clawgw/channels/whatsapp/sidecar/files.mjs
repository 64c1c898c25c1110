/**
 * Files that a kill at any moment leaves whole.
 *
 * A file is written beside its place, synced, and renamed over it; then the directory is synced.
 * Whoever reads sees the old contents or the new ones. Everything is for the owner alone.
 */

import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

const TEMPORARY = /^\..*\.tmp$/;
let count = 0;

/** Make a directory for the owner alone; one that exists is narrowed down. */
export async function privateDirectory(path) {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const handle = await open(path, "r");
  try {
    await handle.chmod(0o700);
  } finally {
    await handle.close();
  }
}

/** Remove what a killed process left half written. */
export async function removeTemporary(directory) {
  for (const name of await readdir(directory)) {
    if (TEMPORARY.test(name)) await rm(join(directory, name), { force: true });
  }
}

/** Replace a file; when this returns, its contents are on the disk, its name is after `syncDirectory`. */
export async function replaceFile(path, contents) {
  const temporary = join(dirname(path), `.${process.pid}-${++count}.tmp`);
  const handle = await open(temporary, "wx", 0o600);
  try {
    await handle.writeFile(contents);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
}

/** Make names that were added, replaced or removed in a directory last. */
export async function syncDirectory(path) {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Run calls that come while one runs as one more: many writers share one sync. */
export function coalesce(work) {
  let running = null;
  let next = null;
  const begin = () => {
    const current = work().finally(() => {
      if (running === current) running = null;
    });
    running = current;
    return current;
  };
  return () => {
    if (!running) return begin();
    next ??= running
      .catch(() => {})
      .then(() => {
        next = null;
        return begin();
      });
    return next;
  };
}
