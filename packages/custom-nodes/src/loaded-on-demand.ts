// What the service and its doctor load only when there is a list: Git, installers and parsers are heavy.
export { applyToSite } from './apply-to-site.ts';
export { readListFile } from './node-list/read-list-file.ts';
