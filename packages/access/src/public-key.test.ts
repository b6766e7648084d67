import { expect, test } from 'vitest';
import { pinnedHosts } from './git/known-hosts.ts';
import { publicKeyIn } from './public-key.ts';

/** As the hosts publish them; see known-hosts.ts. */
const published: Readonly<Record<string, readonly string[]>> = {
  'github.com': [
    'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU',
    'SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM',
    'SHA256:uNiVztksCsDhcc0u9e8BujQXVUpKZIDTMczCvj3tD2s',
  ],
  'gitlab.com': [
    'SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8',
    'SHA256:HbW3g8zUjNSksFbqTiUWPWg2Bq1x8xdGUrliXFzSnUw',
    'SHA256:ROQFvPThGrW4RuWLoL9tq9I9zJ42fK4XywyRtbOz/EQ',
  ],
  'bitbucket.org': [
    'SHA256:ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM',
    'SHA256:FC73VB6C4OQLSCrjEayhMp9UMxS97caD/Yyi2bhW/J0',
  ],
};

test('the pinned hosts have the keys that they publish', () => {
  const byHost = Object.groupBy(pinnedHosts, (line) => line.split(',')[0] ?? '');
  const pinned = Object.entries(byHost).map(([host, lines]) => [
    host,
    lines?.map((line) => publicKeyIn(line)?.fingerprint),
  ]);
  expect(Object.fromEntries(pinned)).toEqual(published);
});

const ed25519 = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';

test.each([ed25519, `${ed25519} somebody@somewhere`, `from="10.0.0.0/8",command="uptime now" ${ed25519} me`])(
  '%s has a key',
  (line) => {
    expect(publicKeyIn(line)).toEqual({ type: 'ssh-ed25519', fingerprint: published['github.com']?.[0] });
  },
);

test.each([
  '',
  'ssh-ed25519',
  ed25519.slice(0, -4),
  ed25519.replace('ssh-ed25519', 'ssh-rsa'),
  'ssh-dss AAAAB3NzaC1kc3MAAA',
  '-----BEGIN OPENSSH PRIVATE KEY-----',
])('%j has none', (line) => expect(publicKeyIn(line)).toBeUndefined());
