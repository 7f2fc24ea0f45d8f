// Elements by name. Text is always text: what a file or a model is called can be no markup.

/** An element with properties, listeners (`onclick`), attributes (`aria-…`, `data-…`, `role`, …) and children. */
export function el(name, properties = {}, ...children) {
  return filled(document.createElement(name), properties, children);
}

/** The same for drawings. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(element, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (key === "style") for (const [name, to] of Object.entries(value)) element.style.setProperty(name, to);
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && !(element instanceof SVGElement)) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);
