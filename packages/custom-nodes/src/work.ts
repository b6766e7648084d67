// What the service loads when there is a list.
export { applyToSite } from './apply-to-site.ts';
export { readListFile } from './node-list/read-list-file.ts';
