import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findTcmalloc } from './tcmalloc.ts';

test('the library is found where it is, and only when it is wanted', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'mgpu-tcmalloc-'));
  try {
    const [one, other] = [join(dir, 'one'), join(dir, 'other')];
    await mkdir(other);
    expect(await findTcmalloc('auto', [one, other])).toBeUndefined();
    const library = join(other, 'libtcmalloc_minimal.so.4');
    await writeFile(library, '');
    expect(await findTcmalloc('auto', [one, other])).toBe(library);
    expect(await findTcmalloc('off', [other])).toBeUndefined();
    expect(await findTcmalloc(library, [])).toBe(library);
    await expect(findTcmalloc(join(dir, 'no.so'))).rejects.toMatchObject({ code: 'A1111_TCMALLOC_MISSING' });
  } finally {
    await rm(dir, { recursive: true });
  }
});
