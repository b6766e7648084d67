import type { Options } from './options.ts';
import { isSince } from './version.ts';

/** What `GET /features` and the socket's `feature_flags` say. */
export function serverFeatures(version: string, options: Options): Record<string, unknown> {
  return {
    supports_preview_metadata: true,
    ...(isSince(version, '0.33.0') && { supports_model_type_tags: true }),
    max_upload_size: options.maxUploadBytes,
    ...(isSince(version, '0.4.0') && { extension: { manager: { supports_v4: true } } }),
    ...(isSince(version, '0.14.0') && { node_replacements: true, assets: options.assets }),
  };
}
