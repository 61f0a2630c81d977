/**
 * The words that most of the most common passwords are made of, in the lists of leaked ones that are published each year. What
 * people add to them (capitals, digits at the end, "0" for "o") is taken away before they are looked up, and rows such as
 * "qwerty" need no list: see password-rules.ts and password-patterns.ts.
 */

/** Lower case, without accents, three letters or more. */
export const commonWords: ReadonlySet<string> = new Set(
  `
abc access account action adam adidas admin administrador administrateur administrator adminpassword admins adrian
africa airborne airforce albert alejandro alessandro alex alexander alexandra alexis alicia alison allison alpha amanda
amazon america american amigo amor amore amoremio amsterdam anastasia anderson andrea andrew android angel angela
angelica angelina angels animal anthony apache apollo apple apples april archie argentina arizona arnold arsenal arthur
asd asdf ashley asshole athena atlanta august austin australia austria autumn awesome azerty baby babyboy babydoll
babygirl babygurl backup badboy bailey balls banana bandit barbara barbie barcelona barney baseball basket basketball
batman bayern beach bear bears beautiful beauty beaver beavis belgium bella benfica benjamin berlin bestfriend betty
bigboy bigdaddy bigdog billy birdie birthday biscuit bismillah bitch biteme black blackberry blackie blahblah blessed
blessing blink blonde blondie blood blue bluebird bobby bond bonjour booboo booger boomer booster boston bowling bradley
brandon brandy brasil bravo brazil brenda brian brianna britney brittany broncos brooklyn brother bubba bubbles buddy
budlight buffalo bulldog bulldogs bullet bullshit bunny business buster butter butterfly butthead california camaro
cambiami camera cameron camille canada cantik captain cardinal carlos carmen carolina caroline carpediem casanova casper
cassie catalina catherine celtic challenge champion champions change changeit changeme changepassword changethis charles
charlie charlotte charmed cheese chelsea cherokee cherry chester chevelle chevy chicago chicken chicks children china
chivas chocolate chopper chouchou chris chrissy christ christian christina christine christmas christopher ciao classic
claudia cocacola coffee college colorado company compaq computer connect connor contrasena contrasenia control cookie
cookies cool cooper copper corona corvette cosmos coucou cougar counterstrike country courtney covid covidnineteen
cowboy cowboys coyote crazy creative cricket crystal cupcake cutie cutiepie daddy dakota dallas dance dancer daniel
danielle danny darkness darkside darling database david dearbook death debbie december default defaultpassword demo
denmark denver desire destiny detroit deutschland devil dexter diablo diamond diego diesel digital dinosaur discord
disney doctor dolphin dolphins dominic donald donkey dortmund doudou dracula dragon dragonball dragons dreamer dreams
driver drowssap duncan eagle eagles eclipse edward egypt einstein electric elephant elizabeth elvis eminem empire
engineer england enter enterprise eric estrella eternity eugene everton evolution excalibur explorer extreme facebook
falcon falcons family fantasy fashion father fathers february federico fender fernando ferrari finland fire firebird
fireman fish fishing florence florida flower flowers fluffy foobar foobarbaz football forever fortnite forzamilan
forzaroma france francesco francis francisco franklin freddie freddy freedom friday friend friends friendship friendster
frog fuck fucker fuckme fuckoff fuckyou fun fussball gabriel gabriela galaxy games gandalf gangsta gangster garfield
gateway geheim general genesis george georgia german germany giants gibson ginger giovanni gloria godisgood godzilla
gold golden goldfish golf golfer good goodbye goodluck google gordon graham grandma greece green greenday gucci guest
guinness guitar gunner hahaha hallo hallowelt hammer hammers hamster handsome hannah happiness happy happyday hard
hardcore hardware harley harrison harry harrypotter haslo hawaii heart hearts heather heaven hejsan hello hellokitty
hellothere helloworld helpme hemligt hemmelig hendrix hercules heslo hockey hola holiday holland hollister hollywood
home homer honda honey horse horses hotdog hotmail house houston hummer hunter hunting iamthe icecream iceman iforget
iforgot ifuckyou ihateyou ilovegod ilovejesus iloveme ilovemyself iloveu iloveyou iloveyoubabe iloveyoubaby
iloveyouforever iloveyoumore iloveyousomuch imissyou india indonesia inferno infinity inside instagram inter internet
inuyasha iran iraq ireland ironman isabella isabelle israel italia italy iverson jackass jackie jackson jaguar jamaica
james january japan jasmin jasmine jason jasper javier jeffrey jelszo jennifer jeremy jerome jesse jessica jessie jesus
jesuschrist jesusislord jesuslovesme jetaime johnny johnson jonathan jordan joseph joshua juan july june junior jupiter
justice justin justinbieber juventus kaiser katerina katherine kathleen kawasaki kelly kennedy kenneth kenya kermit
kevin killer killers kimberly king kingdom kingkong kings kitten kitty knight knights kodeord kristina lacrosse ladybug
lakers larissa lasvegas lauren leagueoflegends lebron legend legolas leonard leonardo letmein letmeinnow letmeinplease
letmepass letter liberty lifehack linda lindsay link linkedin linkinpark lion lions liquid little liverpoo liverpool
lizard logan login loginpassword logitech logon lol lollipop london lorem loremipsum lorenzo losenord loser louise
loulou love loveever loveforever loveislife lovelife lovely loveme lover loverboy lovers loveyou lozinka lucifer lucky
madison madmax madonna madrid maggie magic magnum mahal malaysia mamapapa manager manchester manchesterunited manolo
maradona marcus margaret margarita maria mariana marie marina marine mario mariposa mark marlboro marley marseille
marshall martin martina marvin mary maryjane master masters matkhau matrix matthew maverick maximus maxwell mazda
melanie melissa member mercedes mercury merlin messi metallica mexico miami michael michaeljackson michelle michigan
mickey microsoft midnight milano military miller minecraft minnie miracle miranda mission mister mistress mitchell
mnbvcxz mobile modem mom mommy monday money monica monika monique monkey monkeys monster montana montreal moon morgan
motdepasse mother mothers motorola mountain mouse movies muffin murphy music mustang myname mypass mypassword myspace
napoli naruto nascar natalia natalie natasha nathan nelson nemesis netflix netgear netherlands network newcastle newlife
newpassword newyork nicholas nicolas nicole nigeria nike nikita nintendo nirvana nissan nobody nokia nopass nopassword
norman norway nothing nounours november number numberone october office oksana oldpassword oliver olivia olympus online
open opensesame operator oracle orange orlando overwatch packers paintball pakistan pamela panasonic pandora panther
panthers paradise parola parole parool pass passcode passe passion passme passord passpass passphrase passport passw
passwd password passwordpassword passwords passwort patches patricia patrick patriots paul paypal peace peaches peanut
pearljam pebbles peekaboo penguin people pepper perfect peter phantom philip philippines philips phoenix phone photo
photos phpbb pickle picture pikachu pimpin pink pioneer pirate pirates platinum playboy player players playstation
please pokemon poker poland police poohbear poop popcorn porsche portugal potter power precious predator president
preston pretty prince princesa princess private professional pubg public pumpkin puppy purple pussy qazwsx qwaszx qwe
qwer qwert qwerty rabbit rachel racing rahasia raiders rainbow rammstein ranger rangers raptor rascal real realmadrid
rebecca red reddog redneck redrum redskins redsox redwings regina remember restart ricardo richard richie robbie robert
roberto robinson rock rocket rocknroll rockstar rockyou roger rolltide romance romeo ronaldinho ronaldo rooster root
rootpassword rootroot rosebud roxanne royal runescape running rush russell russia sabrina safety sakura salasana
samantha sammy samson samsung samuel sanders sandman sandra sandy santana santiago sasuke saturday saturn savannah
sayang scarface schalke schatz school science scooby scoobydoo scooter scorpio scorpion scotland scott season seattle
sebastian secret secreto secrets secure security segredo segreto semperfi senha senna september serenity sergey sergio
service services sesame sexy sexyboy shadow shadows shannon shelby sheldon sherlock shithead shopping sidney siemens
sierra sifre silver simon simple simpsons singapore singer sister skate skateboard skippy skittles skype skywalker
slayer slipknot smile smith smokey smoking smooth snickers sniper snoopy snow snowball snowboard snowman soccer softball
soldier soleil something sonic sophie southside spain spanky sparky special spencer spider spiderman spirit spitfire
spongebob spring sprite squirrel stalker stanley star stargate stars start startrek starwars station steam steelers
stefan stella stephanie stephen steve steven stewart sticky sting stonecold strawberry student stupid success sugar
sullivan sultan summer sun sunday sunflower sunny sunrise sunset sunshine super superadmin superman supernova superstar
superuser support surfer suzuki svetlana swallow sweden sweet sweetheart sweetie sweetness sweetpea swimming switch
switzerland swordfis swordfish sydney sylvia symantec sysadmin sysop system tajne target taylor teacher teachers teamo
teams tech techno teddy teddybear telegram temp temppass temppassword tennis tequiero tequieromucho teresa terminal
terminator test tester testing testpass testpassword testtest testuser texas thailand thebeast thebest thegame theking
theman themaster theone thomas thuglife thunder thursday tianya tiffany tiger tigers tigger tiktok timothy tinker
tinkerbell tinkle tintin titanic titanium tomcat tommy toor toshiba tottenham toyota travel travis trinity tristan
triumph trooper trouble truelove trust trustme trustno trustnoone tucker tuesday tulips turkey turtle tweety twilight
twitter ukraine undertaker unicorn united universal universe unknown user username userpass userpassword valentin
valentina valentine valerie valorant vampire vanessa vegeta veronica veronika victor victoria victory video vikings
vincent violet viper virgin virginia vision vkontakte vladimir volcom volleyball voyager wachtwoord walker walter
warcraft warrior warriors water webmaster wednesday welcome welkom werewolf wesley western westside whatever whatisthis
whatsapp whatsup white wildcats wilhelm willem william williams willie willow wilson window windows winner winston
winter wisdom wizard woaini wolf wolfgang wolfpack wolverin wolverine wolves woman wonderful work worldcup worldhello
wrestling writer xavier yahoo yamaha yankees yellow yourmom zachary zaq zaqwsx zelda zeppelin zidane zigzag zombie zoom
zxc zxcv zxcvbn
александр андреи дмитрии любовь максим марина наташа пароль привет солнышко
`
    .trim()
    .split(/\s+/),
)
