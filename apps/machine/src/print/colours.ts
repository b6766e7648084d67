import picocolors from 'picocolors';

const { FORCE_COLOR: forced, NO_COLOR: none, TERM: terminal } = process.env;

/** Left to itself, the library takes whatever runs under `CI` for a terminal: programs that read us would get its codes. */
const isWanted = !none && (forced ? forced !== '0' : process.stdout.isTTY === true && terminal !== 'dumb');

/** Colours, on a terminal; text as it is anywhere else, and with `NO_COLOR`. `FORCE_COLOR` has them anywhere. */
export const paint = picocolors.createColors(isWanted);
