import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The key pair by which a server is known to the registry; made at the first start. */
export function ensureIdentity(home: string): void {
  const path = join(home, '.ollama', 'id_ed25519');
  if (existsSync(path)) return;
  process.stdout.write(`Couldn't find '${path}'. Generating new private key.\n`);
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  const field = (bytes: Uint8Array) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const key = `ssh-ed25519 ${Buffer.concat([field(Buffer.from('ssh-ed25519')), field(raw)]).toString('base64')}`;
  writeFileSync(`${path}.pub`, `${key}\n`, { mode: 0o644 });
  process.stdout.write(`Your new public key is: \n\n${key}\n\n`);
}
