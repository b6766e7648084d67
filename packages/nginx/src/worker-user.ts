import { readFile } from 'node:fs/promises';

/** Whom nginx's workers run as, when its master is root. */
export interface WorkerUser {
  readonly user: string;
  readonly group: string;
  readonly gid: number;
}

const candidates = ['nginx', 'www-data', 'nobody'];

/** The account for the workers from passwd(5) and group(5); undefined when we are not root or there is none. */
export async function findWorkerUser(configured: string | undefined): Promise<WorkerUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const [users, groups] = await Promise.all([rows('/etc/passwd'), rows('/etc/group')]);
  const row = (configured === undefined ? candidates : [configured])
    .map((name) => users.find(([each]) => each === name))
    .find((each) => each !== undefined);
  // An account that is not in these files may still exist elsewhere: `nginx -t` has the last word.
  if (!row) return configured === undefined ? undefined : { user: configured, group: configured, gid: 0 };
  const [user = '', , , gid = ''] = row;
  const group = groups.find(([, , id]) => id === gid)?.[0] ?? user;
  return { user, group, gid: Number(gid) };
}

async function rows(file: string): Promise<string[][]> {
  const text = await readFile(file, 'utf8').catch(() => ''); // a system without it has no such accounts
  return text.split('\n').map((line) => line.split(':'));
}
