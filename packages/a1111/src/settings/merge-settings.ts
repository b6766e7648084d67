import { isDeepStrictEqual } from 'node:util';

export type Settings = Readonly<Record<string, unknown>>;

/**
 * What an instance's settings become. A setting that is wanted is taken when the instance has none, or when the wish has
 * changed since it was last applied; otherwise the instance's own stays, whoever set it: a person on the page, or a client.
 */
export function mergeSettings(own: Settings, wanted: Settings, applied: Settings): Settings {
  const news = Object.entries(wanted).filter(
    ([key, value]) => !Object.hasOwn(own, key) || !isDeepStrictEqual(applied[key], value),
  );
  return { ...own, ...Object.fromEntries(news) };
}
