import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { deadline, defineService, type Finding, findingOf, gitEnvironment, systemClock } from '@mgpu/core';
import { workflowsSchema } from './config.ts';
import { WorkflowsService } from './workflows-service.ts';

const patienceMs = 10_000;

/** Workflows in step with a repository, as part of a machine. */
export const workflows = defineService({
  api: 1,
  kind: 'workflows',
  summary: 'Keeps workflows in step with a Git repository, both ways',
  scope: 'machine',
  schema: workflowsSchema,
  phase: 'workflow sync',
  critical: false,
  dependsOn: [{ on: 'git-access', when: 'ready' }],
  create: ({ enabled: _, ...config }, context) => new WorkflowsService(config, context),
  async doctor({ url, dir }, { layout, env }): Promise<readonly Finding[]> {
    const folder = dir ?? join(layout.shared, 'workflows');
    if (url === undefined) {
      const isCheckout = existsSync(join(folder, '.git'));
      const message = isCheckout ? `is a checkout and kept in step` : 'is kept in step with no repository';
      return [{ level: 'ok', message: `workflows: ${folder} ${message}` }];
    }
    const { Git } = await import('@mgpu/core/git');
    const late = () => new DOMException(`no answer within ${patienceMs / 1_000} s`, 'TimeoutError');
    using patience = deadline(systemClock, patienceMs, late);
    try {
      await new Git({ env: gitEnvironment(layout, env), signal: patience.signal }).defaultBranch(url);
      return [{ level: 'ok', message: 'workflows: the repository answers' }];
    } catch (error) {
      return [findingOf(error, 'warning')];
    }
  },
});
