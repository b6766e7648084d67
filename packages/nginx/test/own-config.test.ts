import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { loggerTo } from '@mgpu/core';
import { commitFiles, leasePorts, temporaryFolder, testContext } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { type NginxOptions, NginxService, nginx } from '../src/index.ts';

test('files of a repository are checked and served, follow it, and stay when it is gone', async () => {
  using folder = temporaryFolder();
  using lease = await leasePorts(2);
  const url = join(folder.path, 'repository');
  const say = (word: string) =>
    commitFiles(url, {
      'node/own.conf': `server { listen 127.0.0.1:${lease.first + 1}; location / { return 200 "${word}"; } }\n`,
      'elsewhere.conf': 'nonsense;\n',
    });
  const said = async () => (await fetch(`http://127.0.0.1:${lease.first + 1}/`)).text();
  const warnings: string[] = [];
  const log = loggerTo((level, message) => void (level === 'warn' && warnings.push(message)));
  using context = testContext({ kind: 'nginx', log });
  const options: NginxOptions = { port: lease.first, repository: { url }, include: ['node/*.conf'] };
  await using service = new NginxService(options, context);
  await say('one');
  await service.start();
  expect(await said()).toBe('one');
  await say('two');
  await service.restart();
  expect(await said()).toBe('two');
  await commitFiles(url, { 'node/own.conf': 'nonsense;\n' });
  await service.restart();
  expect(await said()).toBe('two');
  expect(service.status).toMatchObject({ state: 'running', health: 'degraded' });
  expect(warnings.splice(0)).toEqual([
    expect.stringMatching(/serves the configuration that its repository had before: .*unknown directive "nonsense"/),
  ]);
  await rename(url, `${url}.gone`);
  await service.restart();
  expect(await said()).toBe('two');
  expect(warnings).toEqual([expect.stringContaining('its own configuration stays as it was brought before')]);
  await service.stop();

  const broken = new NginxService({ ...options, include: ['elsewhere.conf'] }, context);
  await expect(broken.start()).rejects.toMatchObject({
    code: 'NGINX_CONFIG_REJECTED',
    message: expect.stringContaining('unknown directive "nonsense"'),
  });
});

test('a repository that is not there ends the first start; a relative path needs one', async () => {
  using folder = temporaryFolder();
  using lease = await leasePorts(1);
  const repository = { url: join(folder.path, 'nowhere') };
  const service = new NginxService({ port: lease.first, repository, include: ['*.conf'] });
  await expect(service.start()).rejects.toMatchObject({ code: 'CORE_GIT_REPOSITORY' });
  const secret = nginx.schema.safeParse({ repository: { url: 'https://user:token@example.org/conf.git' } });
  expect(secret.error?.issues[0]?.message).toContain('it has a secret in it');
  expect(nginx.schema.safeParse({ include: ['*.conf'] }).error?.issues[0]?.message).toContain('without a repository');
});
