// Greets, and says which Node it runs on.
import { greeting } from 'greeting';

console.log(`${greeting('the device')}, from Node ${process.version} as ${process.execPath}`);
