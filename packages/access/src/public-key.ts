import { createHash } from 'node:crypto';

const types =
  'ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\\.com|sk-ecdsa-sha2-nistp256@openssh\\.com';
const form = new RegExp(`(?:^|\\s)(${types})\\s+([A-Za-z0-9+/]+={0,2})(?:\\s|$)`);

/** The public key in a line of authorized_keys or known_hosts; undefined when there is none that is whole. */
export function publicKeyIn(line: string): { readonly type: string; readonly fingerprint: string } | undefined {
  const [, type = '', base64 = ''] = form.exec(line) ?? [];
  const blob = Buffer.from(base64, 'base64');
  // The key begins with its type once more, after its length in four bytes (RFC 4253, 6.6).
  if (type === '' || blob.length < 4 + type.length) return undefined;
  const end = 4 + blob.readUInt32BE(0);
  if (blob.subarray(4, end).toString('latin1') !== type || !hasWholeFields(blob, end)) return undefined;
  const digest = createHash('sha256').update(blob).digest('base64').replace(/=+$/, '');
  return { type, fingerprint: `SHA256:${digest}` };
}

/** Every field has its length before it, and the last one ends with the key. */
function hasWholeFields(blob: Buffer, from: number): boolean {
  let at = from;
  while (at + 4 <= blob.length) at += 4 + blob.readUInt32BE(at);
  return at === blob.length && at > from;
}
