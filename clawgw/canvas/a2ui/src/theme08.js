// How A2UI 0.8 looks: its components take their colours and measures from the variables that the
// 0.9 catalog defines for the page, so that both versions look alike.

const none = {};
const field = {container: none, element: none, label: none};
const box = {
  'border-radius': 'var(--a2ui-border-radius)',
  border: 'var(--a2ui-border)',
};
const stacked = {display: 'grid', gap: '.25rem'};
const wide = {'layout-w-100': true};
const snug = ['layout-m-0'];
const heading = (scale) => ({
  'font-size': `${scale}rem`, 'font-weight': '650', 'line-height': '1.25',
});

export const theme = {
  components: {
    AudioPlayer: none,
    Button: none,
    Card: none,
    CheckBox: {...field, element: {'layout-wp-4': true}},
    Column: none,
    DateTimeInput: field,
    Divider: none,
    Icon: none,
    Image: {
      all: none, icon: none, avatar: none, smallFeature: none, mediumFeature: none,
      largeFeature: none, header: none,
    },
    List: none,
    Modal: {backdrop: none, element: none},
    MultipleChoice: field,
    Row: none,
    Slider: field,
    Tabs: {container: none, element: none, controls: {all: none, selected: none}},
    Text: {all: none, h1: none, h2: none, h3: none, h4: none, h5: none, body: none, caption: none},
    TextField: {...field, container: wide},
    Video: none,
  },
  elements: {
    a: none, audio: none, body: none, button: none, h1: none, h2: none, h3: none, h4: none,
    h5: none, iframe: none, input: none, p: none, pre: none, textarea: none, video: none,
  },
  markdown: {
    p: snug, h1: snug, h2: snug, h3: snug, h4: snug, h5: snug, ul: [], ol: [], li: [], a: [],
    strong: [], em: [],
  },
  additionalStyles: {
    Button: {
      ...box,
      padding: '.5rem 1rem',
      border: 'none',
      background: 'var(--a2ui-color-primary)',
      color: 'var(--a2ui-color-on-primary)',
      font: 'inherit',
      cursor: 'pointer',
    },
    Card: {...box, padding: '1rem', background: 'var(--a2ui-color-surface)'},
    CheckBox: {display: 'flex', 'align-items': 'center', gap: '.5rem'},
    Column: {display: 'flex', 'flex-direction': 'column', gap: '.75rem'},
    DateTimeInput: {font: 'inherit'},
    Row: {display: 'flex', gap: '.75rem'},
    Slider: stacked,
    Text: {
      h1: heading(1.8), h2: heading(1.45), h3: heading(1.2), h4: heading(1.1), h5: heading(1),
      h6: heading(0.9), body: {}, caption: {opacity: '.75', 'font-size': '.9rem'},
    },
    TextField: {
      ...box,
      padding: '.5rem .75rem',
      background: 'var(--a2ui-color-input)',
      color: 'var(--a2ui-color-on-input)',
      font: 'inherit',
    },
  },
};
