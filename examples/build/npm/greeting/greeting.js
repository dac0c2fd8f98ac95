/** Words for somebody. */
export const greeting = (name) => `Good day to ${name}`;
