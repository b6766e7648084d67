import { empty, json, type Route } from '../../http.ts';
import { pyInt } from '../../python/values.ts';
import type { Engine } from '../engine.ts';
import { historyEntry } from '../history.ts';

/** `/history`. */
export function historyRoutes({ history }: Engine): Route[] {
  return [
    {
      method: 'GET',
      path: '/history',
      twin: true,
      handle({ query }) {
        const maxItems = query.get('max_items');
        return json(history.page(maxItems === null ? undefined : pyInt(maxItems), pyInt(query.get('offset') ?? -1)));
      },
    },
    {
      method: 'GET',
      path: '/history/{id}',
      twin: true,
      handle({ params: { id = '' } }) {
        const run = history.get(id);
        return json(run === undefined ? {} : { [id]: historyEntry(run) });
      },
    },
    {
      method: 'POST',
      path: '/history',
      twin: true,
      async handle(request) {
        const body = (await request.json()) as { clear?: unknown; delete?: unknown };
        if (body.clear) history.clear();
        if (Array.isArray(body.delete)) for (const id of body.delete) history.delete(String(id));
        return empty();
      },
    },
  ];
}
