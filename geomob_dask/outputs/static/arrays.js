// An array: its type and its bytes in base64, least significant first.
const TYPES = {float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array};
function unpack({type, bytes}) {
  const text = atob(bytes);
  const buffer = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) buffer[i] = text.charCodeAt(i);
  return new TYPES[type](buffer.buffer);
}
