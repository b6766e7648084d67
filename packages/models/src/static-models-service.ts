import { BaseService, type Run, type ServiceContext, standaloneContext } from '@mgpu/core';
import type { StaticModelsConfig } from './config.ts';
import type { LinkResult } from './links/static-models.ts';

/** What `new StaticModelsService` takes. */
export interface StaticModelsOptions extends Partial<Omit<StaticModelsConfig, 'enabled'>> {
  /** Folder whose `shared` is meant. Default: a temporary one, removed at the stop. Ignored with a context. */
  readonly root?: string;
}

/** Makes the links of `static-models.json`, and is completed. Links that cannot be made are told and are no failure. */
export class StaticModelsService extends BaseService<StaticModelsOptions> {
  #links: readonly LinkResult[] = [];

  constructor(options: StaticModelsOptions, context: ServiceContext = alone(options)) {
    super(options, context);
  }

  /** What became of each link at the last start. */
  get links(): readonly LinkResult[] {
    return this.#links;
  }

  protected override async onStart(run: Run): Promise<void> {
    this.#links = [];
    const { layout, log } = this.context;
    const { makeLinks, readStaticModels, staticModelsPath } = await import('./links/static-models.ts');
    run.signal.throwIfAborted();
    const path = staticModelsPath(this.config, layout);
    const statics = await readStaticModels(path, layout);
    if (!statics) {
      log.info(`static models: there is no ${path}`, { instance: this.id });
      return run.complete();
    }
    const links = await makeLinks(statics, layout);
    run.signal.throwIfAborted();
    this.#links = links;
    const failed = links.filter(({ status }) => status === 'failed');
    for (const { error } of failed) log.warn(`static models: ${error?.message}`, { instance: this.id, error });
    const made = links.filter(({ status }) => status === 'linked').length;
    const summary = `${links.length} ${links.length === 1 ? 'link' : 'links'}: ${made} made, ${links.length - made - failed.length} there, ${failed.length} failed`;
    log.info(`static models: ${summary}`, { instance: this.id });
    if (failed.length > 0) run.setHealth('degraded', summary);
    run.complete();
  }
}

const alone = ({ root }: StaticModelsOptions): ServiceContext =>
  standaloneContext({ kind: 'static-models', ...(root === undefined ? {} : { root }) });
